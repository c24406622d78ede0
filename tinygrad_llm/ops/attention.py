"""Attention: each query takes a weighted mean of the values, weighted by how well their keys fit to it.

Forward    out = softmax(scale · q kᵀ + mask) v
Backward   with weights w:  dv = wᵀ dout,  dw = dout vᵀ,  ds = w (dw − ⟨dout, out⟩),
           dq = scale · ds k,  dk = scale · dsᵀ q,  dmask = ds
Shapes     q (…, H, T, D), k (…, H, S, D), v (…, H, S, Dv), mask broadcastable to (…, H, T, S) → (…, H, T, Dv)
Saved      the inputs, out, and one number per query: lse = log Σ e^score
Lesson     10_attention (what it computes), 11_attention_kernel (how)
Source     Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1; FlashAttention: Dao et al. (2022),
           algorithms 1 and 4; online softmax: Milakov and Gimelshein (2018); grouped queries: Ainslie et al. (2023)

The (T, S) scores are never stored. Forward walks over the keys tile by tile and keeps, per query, the largest score so
far and the sum of exponentials; backward computes each tile of weights again, which costs less than fetching it from
memory. Neither needs more than O(T + S) memory beyond its results.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor
from .attention_few_queries import attention_of_few_queries
from .attention_kernels import attention_backward, attention_forward
from .attention_layout import Heads, Options, additive_mask, as_heads, new_heads, packed_heads, sum_parts, sum_to
from .common import as_tensor, broadcast_shape, require_float


def attention_ref(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> np.ndarray:
    """The formula, with the whole (…, T, S) array of scores."""
    if enable_gqa:
        key, value = (np.repeat(x, query.shape[-3] // x.shape[-3], axis=-3) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * (query @ np.swapaxes(key, -1, -2))  # (…, H, T, S)
    if attn_mask is not None:
        scores = scores + (np.where(attn_mask, 0.0, -np.inf) if attn_mask.dtype == bool else attn_mask)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ value  # (…, H, T, Dv)


def attend(
    out: Heads, lse: np.ndarray, q: Heads, k: Heads, v: Heads, mask, S: int, options: Options, few_queries: bool = False
) -> None:
    """Fill out (B, H, T, Dv) and lse (B·H, T); for `few_queries`, which need no gradients, only out."""
    if S == 0 or lse.size == 0:
        out.rows[:] = 0  # no key to look at
        return
    settings = kernel_settings(lse, S, options)
    mask, mask_strides = additive_mask(mask, options, lse.dtype)
    strides = np.array([out.strides, q.strides, k.strides, v.strides])
    if few_queries:
        attention_of_few_queries(out.rows, q.rows, k.rows, v.rows, mask, strides, mask_strides, *settings[:3])
        return
    attention_forward(out.rows, lse, q.rows, k.rows, v.rows, mask, strides, mask_strides, *settings)


def attend_backward(dq: Heads, dk: Heads, dv: Heads, dmask, dout: Heads, q, k, v, out, lse, mask, S, options) -> None:
    """Fill dq, dk, dv, each of n_parts · B batch elements for the caller to sum, and dmask (B·H·T, S) if not empty."""
    if options.n_parts(lse.shape[1]) > 1 or S == 0 or lse.size == 0:
        for gradient in (dq, dk, dv):
            gradient.rows[:] = 0
    if S == 0 or lse.size == 0:
        return
    heads = (dq, dk, dv, dout, q, k, v, out)
    rows, strides = [each.rows for each in heads], np.array([each.strides for each in heads])
    mask, mask_strides = additive_mask(mask, options, lse.dtype)
    settings = kernel_settings(lse, S, options)
    attention_backward(*rows[:3], dmask, *rows[3:], lse, mask, strides, mask_strides, *settings)


def kernel_settings(lse: np.ndarray, S: int, options: Options) -> tuple:
    """The last arguments of both kernels: sizes, scale, is_causal, (threshold, seed) of the dropout, keep_scale."""
    T, p, number = lse.shape[1], options.dropout_p, lse.dtype.type
    sizes = (options.batch_size, options.n_heads, options.n_heads // options.n_key_heads, T, S, options.n_parts(T))
    keep_scale = number(1 / (1 - p) if p < 1 else 0)
    return sizes, number(options.scale), bool(options.is_causal), (round(p * 2**32), options.seed), keep_scale


class Attention(Function):
    @staticmethod
    def forward(q, k, v, mask, options):
        B, H, T, S = options.batch_size, options.n_heads, q.shape[-2], k.shape[-2]
        out, out_heads = new_heads(B, H, T, v.shape[-1], q.dtype)
        lse = np.empty((B * H, T), q.dtype)
        attend(out_heads, lse, *(as_heads(x, options) for x in (q, k, v)), mask, S, options)
        out = out.reshape(*options.leading, *out.shape[2:])
        return out, (q, k, v, mask, out, lse, options)

    @staticmethod
    def backward(dout, saved):
        q, k, v, mask, out, lse, options = saved
        B, H, T, S = options.batch_size, options.n_heads, q.shape[-2], k.shape[-2]
        n_parts = options.n_parts(T)
        dq, dq_heads = new_heads(n_parts * B, H, T, q.shape[-1], q.dtype)
        dk, dk_heads = new_heads(n_parts * B, options.n_key_heads, S, k.shape[-1], q.dtype)
        dv, dv_heads = new_heads(n_parts * B, options.n_key_heads, S, v.shape[-1], q.dtype)
        dmask = np.zeros((B * H * T, S) if options.mask_needs_grad else (0, 0), q.dtype)
        inputs = (as_heads(x, options) for x in (dout, q, k, v, out))
        attend_backward(dq_heads, dk_heads, dv_heads, dmask, *inputs, lse, mask, S, options)
        gradients = [sum_to(x.shape, sum_parts(dx, n_parts), options) for x, dx in ((q, dq), (k, dk), (v, dv))]
        if mask is not None:
            dmask = sum_to(mask.shape, dmask.reshape(B, H, T, S), options) if options.mask_needs_grad else None
            gradients.append(dmask)
        return tuple(gradients)


class QKVAttention(Function):
    """Attention within the packed array; backward writes the three gradients straight into one."""

    @staticmethod
    def forward(qkv, mask, options):
        B, T, C3 = qkv.shape
        packed = np.require(qkv, requirements=["C", "W"])
        out, lse = np.empty((B, T, C3 // 3), qkv.dtype), np.empty((B * options.n_heads, T), qkv.dtype)
        (out_heads,) = packed_heads(out, options.n_heads, 1)
        attend(out_heads, lse, *packed_heads(packed, options.n_heads), mask, T, options)
        return out, (packed, mask, out, lse, options)

    @staticmethod
    def backward(dout, saved):
        packed, mask, out, lse, options = saved
        B, T, C3 = packed.shape
        n_parts = options.n_parts(T)
        dqkv = np.empty((n_parts * B, T, C3), packed.dtype)
        (dout_heads,), (out_heads,) = (
            packed_heads(np.require(x, requirements=["C", "W"]), options.n_heads, 1) for x in (dout, out)
        )
        dq, dk, dv = packed_heads(dqkv, options.n_heads)
        q, k, v = packed_heads(packed, options.n_heads)
        no_mask = np.empty((0, 0), packed.dtype)
        attend_backward(dq, dk, dv, no_mask, dout_heads, q, k, v, out_heads, lse, mask, T, options)
        return (sum_parts(dqkv, n_parts),)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """softmax(scale · query keyᵀ + attn_mask) value, as `torch.nn.functional.scaled_dot_product_attention`.

    query (…, H, T, D), key (…, H, S, D), value (…, H, S, Dv) → (…, H, T, Dv); leading dims broadcast.
    attn_mask, broadcastable to (…, H, T, S): True where a query may look at a key, or numbers added to the scores.
    is_causal: query t looks at keys 0 … t only (counted from the first key, also where T ≠ S); may go with a mask.
    scale: 1/√D unless given. enable_gqa: key and value have fewer heads, each for H / n_key_heads query heads in turn.
    dropout_p: the probability to drop a weight, always applied if not 0; needs rng.
    A query that may look at no key gets zeros. Gradients reach query, key, value and a floating-point attn_mask.

    Raises ValueError where shapes do not fit, TypeError where dtypes do not.

    >>> q = k = zeros(1, 2, 4)
    >>> scaled_dot_product_attention(q, k, tensor([[[1.0], [3.0]]])).tolist()
    [[[2.0], [2.0]]]
    """
    op = "scaled_dot_product_attention"
    leading, n_key_heads = check_inputs(op, query, key, value, enable_gqa)
    mask, inputs = None, (query, key, value)
    mask_needs_grad = False
    if attn_mask is not None:
        attn_mask = as_tensor(op, attn_mask)
        check_mask(op, attn_mask, query, (*leading, query.shape[-2], key.shape[-2]))
        mask, inputs, mask_needs_grad = attn_mask.data, (*inputs, attn_mask), attn_mask.requires_grad
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    seed = dropout_seed(op, dropout_p, rng)
    options = Options(leading, n_key_heads, scale, is_causal, dropout_p, seed, mask_needs_grad)
    out, saved = Attention.forward(query.data, key.data, value.data, mask, options)
    return Attention.record(out, saved, *inputs)


def qkv_attention(
    qkv: Tensor,
    n_heads: int,
    attn_mask: Tensor | np.ndarray | None = None,
    *,
    is_causal: bool = True,
    dropout_p: float = 0.0,
    rng: np.random.Generator | None = None,
    scale: float | None = None,
) -> Tensor:
    """Self-attention on one packed projection: qkv (B, T, 3·C) → (B, T, C), C = n_heads · D.

    The last dim of `qkv` is [q | k | v], each n_heads times D features, as GPT-2's c_attn makes it. The same result as
    splitting it and calling `scaled_dot_product_attention`, without a copy of q, k, v or their gradients.
    attn_mask, broadcastable to (B, n_heads, T, T), is that function's, but gets no gradient.
    """
    op = "qkv_attention"
    require_float(op, qkv)
    if qkv.ndim != 3 or n_heads < 1 or qkv.shape[-1] % (3 * n_heads) or qkv.shape[-1] == 0:
        raise ValueError(
            f"{op}: expected qkv of shape (B, T, 3·C) with C a multiple of n_heads={n_heads}, got {qkv.shape}."
        )
    B, T, C3 = qkv.shape
    mask = None
    if attn_mask is not None:
        attn_mask = as_tensor(op, attn_mask)
        check_mask(op, attn_mask, qkv, (B, n_heads, T, T))
        if attn_mask.requires_grad:
            raise ValueError(f"{op}: attn_mask gets no gradient here; use scaled_dot_product_attention.")
        mask = attn_mask.data
    scale = 1 / math.sqrt(C3 // (3 * n_heads)) if scale is None else scale
    seed = dropout_seed(op, dropout_p, rng)
    options = Options((B, n_heads), n_heads, scale, is_causal, dropout_p, seed)
    out, saved = QKVAttention.forward(qkv.data, mask, options)
    return QKVAttention.record(out, saved, qkv)


def check_inputs(op: str, query, key, value, enable_gqa: bool) -> tuple[tuple[int, ...], int]:
    """The result's dims before (T, Dv), and the number of key heads."""
    for x in (query, key, value):
        require_float(op, x)
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if not query.dtype == key.dtype == value.dtype:
        dtypes = f"query {query.dtype}, key {key.dtype}, value {value.dtype}"
        raise TypeError(f"{op}: expected one dtype, got {dtypes}.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"{op}: expected at least 2 dims (…, T, D), got {shapes}.")
    if query.shape[-1] != key.shape[-1] or query.shape[-1] == 0:
        raise ValueError(f"{op}: query and key need the same number of features, at least 1; got {shapes}.")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"{op}: key and value need the same length (dim -2), got {shapes}.")
    if not enable_gqa:
        leading = broadcast_shape(op, query.shape[:-2], key.shape[:-2], value.shape[:-2])
        return leading, leading[-1] if leading else 1
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise ValueError(f"{op}: enable_gqa needs heads, (…, H, T, D), got {shapes}.")
    n_heads, n_key_heads = query.shape[-3], key.shape[-3]
    if value.shape[-3] != n_key_heads or n_key_heads == 0 or n_heads % n_key_heads:
        raise ValueError(
            f"{op}: with enable_gqa key and value need the same number of heads, a divisor of query's; got {shapes}."
        )
    batch = broadcast_shape(op, query.shape[:-3], key.shape[:-3], value.shape[:-3])
    return (*batch, n_heads), n_key_heads


def check_mask(op: str, mask: Tensor, query: Tensor, shape: tuple[int, ...]) -> None:
    if mask.dtype not in (np.dtype("bool"), np.dtype("float32"), query.dtype):
        raise TypeError(f"{op}: attn_mask must be bool, float32 or query's {query.dtype}, not {mask.dtype}.")
    if mask.ndim > len(shape) or any(m not in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(f"{op}: attn_mask of shape {mask.shape} does not broadcast to the scores' {shape}.")


def dropout_seed(op: str, dropout_p: float, rng: np.random.Generator | None) -> int:
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{op}: dropout_p is a probability, expected 0 to 1, got {dropout_p}.")
    if dropout_p == 0:
        return 0
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{op}: dropout_p={dropout_p} needs rng=, a np.random.Generator such as "
            f"np.random.default_rng(0), got {rng!r}."
        )
    return int(rng.integers(2**32))
