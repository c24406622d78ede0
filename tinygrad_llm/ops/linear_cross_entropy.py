"""linear_cross_entropy: the last layer of a language model and its loss in one op, without all the logits.

Forward    loss = cross_entropy(x Wᵀ, target)
Backward   dlogits = (softmax(x Wᵀ) − onehot(target)) / N,   dx = dlogits W,   dW = dlogitsᵀ x
Shapes     x (…, C), W (V, C), target (…) → ()
Saved      dx and dW for an upstream gradient of 1, each only where it is wanted
Lesson     13_gpt
Source     chunked losses as in Hsu et al., "Liger Kernel" (2024)

The logits are the largest array of a small model: (N, V) has 103 MB for N = 512 and GPT-2's vocabulary, and
its gradient as much again. Here only `CHUNK_BYTES` of them exist at a time, or `MIN_CHUNK_ROWS`. Since the loss is the
end of the graph, its gradient is known in the forward pass already, up to a factor: each chunk of logits becomes its
own gradient, that is turned into its share of dx and dW at once and then forgotten, so nothing is computed twice.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor, is_grad_enabled
from .class_targets import check_class_targets, check_reduction, loss_slope
from .common import as_matrix, as_tensor, require_float
from .cross_entropy import cross_entropy_ref, cross_entropy_rows
from .matmul import multiply

CHUNK_BYTES = 8 << 20
MIN_CHUNK_ROWS = 256  # with fewer, copying W for each product and adding to dW would cost more than multiplying


def linear_cross_entropy_ref(x, weight, target, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """With all logits: x (N, C), weight (V, C), target (N,)."""
    return cross_entropy_ref(x @ weight.T, target, None, ignore_index, reduction, label_smoothing)


def chunk_rows(vocab_size: int, itemsize: int) -> int:
    """How many rows of scores, `itemsize` bytes each, there is room for at a time."""
    return max(MIN_CHUNK_ROWS, CHUNK_BYTES // (vocab_size * itemsize))


class LinearCrossEntropy(Function):
    @staticmethod
    def forward(x, weight, target, ignore_index, reduction, label_smoothing, needs):
        N, V = len(x), len(weight)
        dx = np.empty_like(x) if needs[0] else None
        dweight = np.zeros_like(weight) if needs[1] else None
        n_targets = np.count_nonzero(target != ignore_index) if reduction == "mean" else 1
        options = (np.ones(V, x.dtype), x.dtype.type(V), ignore_index)  # every class counts alike
        options += (x.dtype.type(1 - label_smoothing), x.dtype.type(label_smoothing / V))
        options += (loss_slope(reduction, n_targets, x.dtype),)
        rows = min(N, chunk_rows(V, x.itemsize))
        logits = np.empty((rows, V), x.dtype)
        losses, empty = np.empty(N, x.dtype), np.empty((0, 0), x.dtype)
        for i in range(0, N, max(rows, 1)):
            chunk, n = slice(i, i + rows), min(rows, N - i)
            multiply(x[chunk], weight.T, out=logits[:n])
            if not any(needs):
                cross_entropy_rows(losses[chunk], empty, logits[:n], target[chunk], *options)
            else:
                cross_entropy_rows(losses[chunk], logits[:n], empty, target[chunk], *options)
                dlogits = logits[:n]
                if dx is not None:
                    multiply(dlogits, weight, out=dx[chunk])
                if dweight is not None:
                    multiply(dlogits.T, x[chunk], out=dweight, accumulate=i > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = losses.sum() / x.dtype.type(n_targets)
        return loss, (dx, dweight)

    @staticmethod
    def backward(dout, saved):
        return saved if dout == 1 else tuple(None if each is None else each * dout for each in saved)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor | np.ndarray,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`cross_entropy(linear(input, linear_weight), target)` in less memory: the same value and gradients.

    input (…, C), linear_weight (V, C), target (…) of integers in [0, V) or `ignore_index`; the names are those of
    torch.nn.functional.linear_cross_entropy, which also knows a bias and class weights. reduction is "mean" or "sum".
    Raises ValueError where shapes do not fit, IndexError for a target that is no class.
    """
    require_float("linear_cross_entropy", input)
    check_reduction("linear_cross_entropy", reduction, ("mean", "sum"))
    target = as_tensor("linear_cross_entropy", target)
    C = input.shape[-1] if input.ndim else 0
    if linear_weight.ndim != 2 or linear_weight.shape[1] != C or input.shape != (*target.shape, C):
        shapes = f"input {input.shape}, linear_weight {linear_weight.shape} and target {target.shape}"
        raise ValueError(f"linear_cross_entropy: {shapes} do not fit: expected (…, C), (V, C) and (…).")
    if input.dtype != linear_weight.dtype:
        dtypes = f"input is {input.dtype}, linear_weight {linear_weight.dtype}"
        raise TypeError(f"linear_cross_entropy: {dtypes}; convert one with .to(dtype).")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"linear_cross_entropy: label_smoothing must be in [0, 1], not {label_smoothing}.")
    classes = _classes(input, linear_weight, target, ignore_index)
    needs = tuple(is_grad_enabled() and tensor.requires_grad for tensor in (input, linear_weight))
    rows = np.ascontiguousarray(as_matrix(input.data))
    options = (ignore_index, reduction, label_smoothing, needs)
    out, (dx, dweight) = LinearCrossEntropy.forward(rows, linear_weight.data, classes, *options)
    saved = (None if dx is None else dx.reshape(input.shape), dweight)
    return LinearCrossEntropy.record(out, saved, input, linear_weight)


def _classes(x: Tensor, weight: Tensor, target: Tensor, ignore_index: int) -> np.ndarray:
    """The checked targets (N,): as if the logits (N, V) were there."""
    logits = Tensor._from_array(np.broadcast_to(x.dtype.type(0), (math.prod(x.shape[:-1]), weight.shape[0])))
    flat = Tensor._from_array(target.data.reshape(-1))
    return check_class_targets("linear_cross_entropy", logits, flat, ignore_index)
