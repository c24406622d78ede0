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
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..autograd import Function, Tensor
from .attention_kernels import attention_backward, attention_forward
from .common import as_tensor, broadcast_shape, cast, require_float, unbroadcast


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


class Options(NamedTuple):
    """How to attend: what is known before any number is looked at."""

    leading: tuple[int, ...]  # the result's dims before (T, D): batch dims and, last of them, the heads
    n_key_heads: int  # fewer than n_heads where several query heads share a key head
    scale: float
    is_causal: bool = False
    dropout_p: float = 0.0
    seed: int = 0  # of the dropout
    mask_needs_grad: bool = False

    @property
    def batch_size(self) -> int:
        return math.prod(self.leading[:-1])

    @property
    def n_heads(self) -> int:
        return self.leading[-1] if self.leading else 1


def by_head(x: np.ndarray, options: Options) -> np.ndarray:
    """(…, T, D) → a view (B or 1, H or 1, T, D)."""
    if len(options.leading) > 2 and x.ndim > 3:  # several batch dims become one
        x = np.broadcast_to(x, options.leading[:-1] + x.shape[-3:]).reshape(-1, *x.shape[-3:])
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


def empty_heads(B: int, H: int, T: int, D: int, dtype) -> np.ndarray:
    """(B, H, T, D), of memory in the order (B, T, H, D): joining the heads again, (B, T, H·D), is then a free view."""
    return np.empty((B, T, H, D), dtype).transpose(0, 2, 1, 3)


def as_rows(x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """What the kernels take in place of x (B, H, T, D): its memory as rows (n, D), and the strides of B, H, T in rows.

    So heads that are views of a bigger array need no copy. A dim of size 1 gets stride 0, which broadcasts it.
    """
    D, itemsize = x.shape[3], x.itemsize
    in_rows = x.strides[3] == itemsize and all(s >= 0 and s % (D * itemsize) == 0 for s in x.strides[:3])
    if not (in_rows and x.flags.writeable):  # read-only arrays are another type to Numba: to be compiled again
        x = np.array(x.transpose(0, 2, 1, 3), order="C").transpose(0, 2, 1, 3)
    strides = tuple(s // (D * itemsize) if n > 1 else 0 for s, n in zip(x.strides, x.shape[:3], strict=False))
    n_rows = 1 + sum(s * (n - 1) for s, n in zip(strides, x.shape, strict=False))
    return as_strided(x, (n_rows, D), (D * itemsize, itemsize)), strides


def as_additive(mask: np.ndarray | None, options: Options, dtype) -> tuple[np.ndarray, tuple[int, ...]]:
    """A mask as a flat array to add to the scores (0 and −∞ for booleans), and its strides for B, H, T, S."""
    if mask is None:
        return np.empty(0, dtype), (0, 0, 0, 0)
    mask = by_head(mask, options)
    mask = np.where(mask, dtype.type(0), dtype.type(-np.inf)) if mask.dtype == bool else mask
    mask = np.require(mask, dtype, ["C", "W"])
    return mask.reshape(-1), tuple(s // mask.itemsize if n > 1 else 0 for s, n in zip(mask.strides, mask.shape))


def kernel_settings(q: np.ndarray, k: np.ndarray, options: Options) -> tuple:
    """The last arguments of both kernels: sizes, scale, is_causal, (threshold, seed) of the dropout, keep_scale."""
    B, H, T, S = options.batch_size, options.n_heads, q.shape[-2], k.shape[-2]
    # Where there are few heads, each one's query tiles are shared out in parts, to give up to 8 threads work. Not by
    # the number of threads itself: the parts' sums round differently, and results must not depend on the machine.
    n_parts = min(-(-8 // (B * H)), -(-T // 64))
    p, number = options.dropout_p, q.dtype.type
    keep_scale = number(1 / (1 - p) if p < 1 else 0)
    sizes = (B, H, H // options.n_key_heads, T, S, n_parts)
    return sizes, number(options.scale), options.is_causal, (round(p * 2**32), options.seed), keep_scale


def compute_attention(out, lse, q, k, v, mask, options: Options) -> None:
    """Fill out and lse. q, k, v, out are (B, H, T, D), where B or H may be 1 instead."""
    if k.size == 0 or out.size == 0:
        out[...] = 0
        return
    rows, strides = zip(*(as_rows(x) for x in (out, q, k, v)), strict=True)
    mask, mask_strides = as_additive(mask, options, q.dtype)
    settings = kernel_settings(q, k, options)
    attention_forward(rows[0], lse, *rows[1:], mask, np.array(strides), mask_strides, *settings)


def compute_gradients(dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, options: Options) -> None:
    """Fill dq, dk, dv (B, H, T, D), and dmask (B·H·T, S) if it is not empty."""
    if k.size == 0 or out.size == 0:
        for gradient in (dq, dk, dv):
            gradient[...] = 0
        return
    settings = kernel_settings(q, k, options)
    B, n_parts = settings[0][0], settings[0][-1]
    part_dk, part_dv = dk, dv
    if n_parts > 1:
        part_dk, part_dv = (empty_heads(n_parts * B, *x.shape[1:], x.dtype) for x in (dk, dv))
    rows, strides = zip(*(as_rows(x) for x in (dq, part_dk, part_dv, dout, q, k, v, out)), strict=True)
    mask, mask_strides = as_additive(mask, options, q.dtype)
    attention_backward(*rows[:3], dmask, *rows[3:], lse, mask, np.array(strides), mask_strides, *settings)
    if n_parts > 1:
        for total, parts in ((dk, part_dk), (dv, part_dv)):
            np.sum(parts.reshape(n_parts, B, *parts.shape[1:]), axis=0, out=total)


class Attention(Function):
    @staticmethod
    def forward(q, k, v, mask, options):
        B, H, T = options.batch_size, options.n_heads, q.shape[-2]
        out, lse = empty_heads(B, H, T, v.shape[-1], q.dtype), np.empty((B * H, T), q.dtype)
        compute_attention(out, lse, *(by_head(x, options) for x in (q, k, v)), mask, options)
        return out.reshape(*options.leading, *out.shape[2:]), (q, k, v, mask, out, lse, options)

    @staticmethod
    def backward(dout, saved):
        q, k, v, mask, out, lse, options = saved
        B, H, T, S = options.batch_size, options.n_heads, q.shape[-2], k.shape[-2]
        dq = empty_heads(B, H, *q.shape[-2:], q.dtype)
        dk, dv = (empty_heads(B, options.n_key_heads, *x.shape[-2:], q.dtype) for x in (k, v))
        dmask = np.zeros((B * H * T, S) if options.mask_needs_grad else (0, 0), q.dtype)
        inputs = (by_head(x, options) for x in (dout, q, k, v))
        compute_gradients(dq, dk, dv, dmask, *inputs, out, lse, mask, options)
        gradients = tuple(sum_to(x.shape, dx, options) for dx, x in ((dq, q), (dk, k), (dv, v)))
        if not options.mask_needs_grad:
            return gradients
        return (*gradients, sum_to(mask.shape, dmask.reshape(B, H, T, S), options))


def sum_to(shape: tuple[int, ...], gradient: np.ndarray, options: Options) -> np.ndarray:
    """(B, H, T, D) → the gradient of an input of `shape`, which may have been broadcast to that."""
    if gradient.size == math.prod(shape):
        return gradient.reshape(shape)
    return unbroadcast(gradient.reshape(*options.leading[:-1], *gradient.shape[1:]), shape)


class QKVAttention(Function):
    """Attention on views of the packed array; backward writes the three gradients straight into one."""

    @staticmethod
    def forward(qkv, options):
        B, T, C3 = qkv.shape
        H, D = options.n_heads, C3 // (3 * options.n_heads)
        out, lse = empty_heads(B, H, T, D, qkv.dtype), np.empty((B * H, T), qkv.dtype)
        compute_attention(out, lse, *split_heads(qkv, H), None, options)
        return out.transpose(0, 2, 1, 3).reshape(B, T, H * D), (qkv, out, lse, options)

    @staticmethod
    def backward(dout, saved):
        qkv, out, lse, options = saved
        B, H, T, D = out.shape
        dqkv, dmask = np.empty(qkv.shape, qkv.dtype), np.empty((0, 0), qkv.dtype)
        dout = dout.reshape(B, T, H, D).transpose(0, 2, 1, 3)
        inputs = split_heads(qkv, H)
        compute_gradients(*split_heads(dqkv, H), dmask, dout, *inputs, out, lse, None, options)
        return (dqkv,)


def split_heads(qkv: np.ndarray, n_heads: int) -> np.ndarray:
    """(B, T, 3·C) → (3, B, H, T, D), a view: q, k and v."""
    B, T, C3 = qkv.shape
    return qkv.reshape(B, T, 3, n_heads, C3 // (3 * n_heads)).transpose(2, 0, 3, 1, 4)


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
    if attn_mask is not None:
        attn_mask = as_tensor(op, attn_mask)
        check_mask(op, attn_mask, query, (*leading, query.shape[-2], key.shape[-2]))
    mask = None if attn_mask is None else attn_mask.data
    inputs = (query, key, value)
    if attn_mask is not None and attn_mask.requires_grad:
        inputs = (query, key, value, attn_mask)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    seed = dropout_seed(op, dropout_p, rng)
    options = Options(leading, n_key_heads, scale, is_causal, dropout_p, seed, mask_needs_grad=len(inputs) == 4)
    out, saved = Attention.forward(query.data, key.data, value.data, mask, options)
    return Attention.record(out, saved, *inputs)


def qkv_attention(
    qkv: Tensor,
    n_heads: int,
    *,
    is_causal: bool = True,
    dropout_p: float = 0.0,
    rng: np.random.Generator | None = None,
    scale: float | None = None,
) -> Tensor:
    """Self-attention on one packed projection: qkv (B, T, 3·C) → (B, T, C), C = n_heads · D.

    The last dim of `qkv` is [q | k | v], each n_heads times D features, as GPT-2's c_attn makes it. The same result as
    splitting it and calling `scaled_dot_product_attention`, without a copy of q, k, v or their gradients.
    """
    op = "qkv_attention"
    require_float(op, qkv)
    if qkv.ndim != 3 or n_heads < 1 or qkv.shape[-1] % (3 * n_heads) or qkv.shape[-1] == 0:
        raise ValueError(
            f"{op}: expected qkv of shape (B, T, 3·C) with C a multiple of n_heads={n_heads}, got {qkv.shape}."
        )
    B, _, C3 = qkv.shape
    scale = 1 / math.sqrt(C3 // (3 * n_heads)) if scale is None else scale
    seed = dropout_seed(op, dropout_p, rng)
    options = Options((B, n_heads), n_heads, scale, is_causal, dropout_p, seed)
    out, saved = QKVAttention.forward(qkv.data, options)
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
    if mask.ndim > len(shape) or broadcast_shape(op, mask.shape, shape) != shape:
        raise ValueError(f"{op}: attn_mask of shape {mask.shape} does not broadcast to the scores' {shape}.")


def dropout_seed(op: str, dropout_p: float, rng: np.random.Generator | None) -> int:
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{op}: dropout_p is a probability, expected 0 to 1, got {dropout_p}.")
    if dropout_p == 0:
        return 0
    if rng is None:
        raise ValueError(f"{op}: dropout_p={dropout_p} needs rng, e.g. rng=np.random.default_rng(0).")
    return int(rng.integers(2**32))
