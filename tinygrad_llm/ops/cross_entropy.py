"""cross_entropy: how badly scores (logits) predict the right class; softmax, log and choice in one op.

Forward    loss = −log softmax(x)_y = s − x_y,  s = log Σ_v e^(x_v)
Backward   dx_v = dloss · (e^(x_v − s) − [v = y])
Shapes     input (N, C), (C,) or (N, C, d1, …), which the kernels get as rows (N, V)
Saved      input, target and s (N,); not the probabilities (N, V): they are cheaper to compute again than to keep
Lesson     05_softmax_cross_entropy
Source     label smoothing: Szegedy et al., "Rethinking the Inception Architecture" (2016), section 7

With class weights w and label smoothing ε the right class counts (1 − ε) w_y, and every class ε/V · w_v:
loss = (1 − ε) w_y (s − x_y) + ε/V Σ_v w_v (s − x_v). The mean over rows is weighted too: it divides by Σ_n w_y.

The kernels read each row once in forward, once in backward; the (N, V) log-probabilities never exist. Fused, a
vocabulary of 50,000 is bound by the time to read and write the memory; softmax, log and gather apart do it thrice.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .class_targets import (
    check_class_targets,
    check_reduction,
    class_dim,
    class_weights,
    loss_gradients,
    reduce_losses,
)
from .common import as_tensor, cast, require_float
from .fast_math import fast_exp
from .softmax import LogSoftmax, as_rows, log_softmax_ref


def cross_entropy_ref(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Rows (N, V) and their classes (N,)."""
    N, V = x.shape
    weight = np.ones(V) if weight is None else weight
    kept = target != ignore_index
    x, target = x[kept], target[kept]
    smoothed = (1 - label_smoothing) * np.eye(V)[target] + label_smoothing / V
    losses = np.zeros(N, x.dtype)
    losses[kept] = -(weight * smoothed * log_softmax_ref(x)).sum(axis=1)
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / weight[target].sum()}[reduction]


@kernel
def largest_of(row):
    """The maximum. A compiler may not reorder comparisons that NaN takes part in, so that we run eight side by side."""
    a = b = c = d = e = f = g = h = row[0]
    V = len(row)
    for i in range(V // 8):
        v = 8 * i
        a, b, c, d = max(a, row[v]), max(b, row[v + 1]), max(c, row[v + 2]), max(d, row[v + 3])
        e, f, g, h = max(e, row[v + 4]), max(f, row[v + 5]), max(g, row[v + 6]), max(h, row[v + 7])
    for i in range(V % 8):
        a = max(a, row[V - 1 - i])
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@kernel(parallel=True)
def cross_entropy_forward(losses, logsumexp, x, target, weight, ignore_index, on_target, on_each):
    """Per row of x (N, V) its loss, and for backward log Σ e^x. on_target is 1 − ε, on_each ε/V."""
    N, V = x.shape
    for n in prange(N):
        row, y = x[n], target[n]
        losses[n] = logsumexp[n] = x.dtype.type(0.0)
        if y != ignore_index:
            largest = largest_of(row)
            total = x.dtype.type(0.0)
            for v in range(V):
                total += fast_exp(row[v] - largest)
            s = largest + np.log(total)
            loss = on_target * weight[y] * (s - row[y])
            if on_each > 0:
                spread = x.dtype.type(0.0)
                for v in range(V):
                    spread += weight[v] * (s - row[v])
                loss += on_each * spread
            losses[n], logsumexp[n] = loss, s


@kernel(parallel=True)
def cross_entropy_backward(
    dx, dlosses, x, logsumexp, target, weight, ignore_index, on_target, on_each, weight_sum
):
    """Forward was loss = a·(s − x_y) + Σ_v b_v·(s − x_v); so now dx = (a + Σ b)·softmax(x) − a·[v = y] − b."""
    N, V = x.shape
    for n in prange(N):
        row, y, s, d = x[n], target[n], logsumexp[n], dlosses[n]
        dx_row = dx[n]
        if y == ignore_index:
            for v in range(V):
                dx_row[v] = x.dtype.type(0.0)
        else:
            a = on_target * weight[y]
            scale, b = d * (a + on_each * weight_sum), d * on_each
            if on_each > 0:
                for v in range(V):
                    dx_row[v] = scale * fast_exp(row[v] - s) - b * weight[v]
            else:
                for v in range(V):
                    dx_row[v] = scale * fast_exp(row[v] - s)
            dx_row[y] -= d * a


class CrossEntropy(Function):
    @staticmethod
    def forward(x, target, weight, ignore_index, reduction, label_smoothing):
        dim = class_dim(x)
        rows, y = as_rows(x, dim), target.reshape(-1)
        losses, logsumexp = np.empty((2, len(y)), x.dtype)
        on_target, on_each = x.dtype.type(1 - label_smoothing), x.dtype.type(label_smoothing / len(weight))
        options = (y, weight, ignore_index, on_target, on_each)
        if len(y):
            cross_entropy_forward(losses, logsumexp, rows, *options)
        divisor = weight[y[y != ignore_index]].sum()
        out = reduce_losses(losses.reshape(target.shape), reduction, divisor)
        return out, (rows, logsumexp, options, reduction, divisor, x.shape, dim)

    @staticmethod
    def backward(dout, saved):
        rows, logsumexp, options, reduction, divisor, shape, dim = saved
        weight = options[1]
        dx = np.empty((*shape[:dim], *shape[dim + 1 :], shape[dim]), rows.dtype)  # classes last
        if len(rows):
            dlosses = loss_gradients(dout, reduction, divisor, logsumexp.shape)
            dx_rows = dx.reshape(rows.shape)
            cross_entropy_backward(dx_rows, dlosses, rows, logsumexp, *options, weight.sum())
        return (dx if dim == len(shape) - 1 else np.moveaxis(dx, -1, dim),)


class SoftCrossEntropy(Function):
    """Targets are probabilities q, of x's shape: loss = −Σ_c w_c q_c log p_c with q smoothed. Saves log p and q."""

    @staticmethod
    def forward(x, target, weight, reduction, label_smoothing, target_needs_grad):
        dim = class_dim(x)
        log_p, _ = LogSoftmax.forward(x, dim)
        weight = np.expand_dims(weight, tuple(range(1, x.ndim - dim)))  # (C, 1, …): broadcasts along dim
        weighted_q = weight * ((1 - label_smoothing) * target + label_smoothing / x.shape[dim])
        losses = -(weighted_q * log_p).sum(axis=dim)
        out = reduce_losses(losses, reduction, losses.size)
        slope = weight * x.dtype.type(1 - label_smoothing) if target_needs_grad else None  # of weighted_q
        return out, (log_p, weighted_q, slope, reduction, losses.shape, dim)

    @staticmethod
    def backward(dout, saved):
        log_p, weighted_q, slope, reduction, shape, dim = saved
        dlosses = np.expand_dims(loss_gradients(dout, reduction, math.prod(shape), shape), dim)
        dx = dlosses * (np.exp(log_p) * weighted_q.sum(axis=dim, keepdims=True) - weighted_q)
        return dx, None if slope is None else -dlosses * slope * log_p


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−log softmax(input) at the target class, in nats; a uniform guess among C classes costs ln C.

    input     logits (C,), (N, C) or (N, C, d1, …)
    target    classes: integers of shape (), (N,) or (N, d1, …); or probabilities of input's shape and dtype
    weight    (C,): how much each class counts; the mean divides by the weights of the targets
    ignore_index      rows with this target cost nothing and get no gradient; where all are ignored the mean is NaN
    reduction         "mean", "sum", or "none" for the losses in target's shape
    label_smoothing   in [0, 1]: the part of each target that is spread evenly over all classes

    Raises IndexError for a target that is no class, ValueError where shapes do not fit.

    >>> round(cross_entropy(tensor([[0.0, 0.0, 0.0, 0.0]]), tensor([2])).item(), 4)  # ln 4
    1.3863
    """
    require_float("cross_entropy", input)
    check_reduction("cross_entropy", reduction)
    target = as_tensor("cross_entropy", target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], not {label_smoothing}.")
    if target.is_floating_point() and target.shape == input.shape and input.ndim:
        target = cast(target, input.dtype)
        weight = class_weights("cross_entropy", weight, input)
        options = (weight, reduction, label_smoothing, target.requires_grad)
        out, saved = SoftCrossEntropy.forward(input.data, target.data, *options)
        return SoftCrossEntropy.record(out, saved, input, target)
    classes = check_class_targets("cross_entropy", input, target, ignore_index)
    weight = class_weights("cross_entropy", weight, input)
    out, saved = CrossEntropy.forward(input.data, classes, weight, ignore_index, reduction, label_smoothing)
    return CrossEntropy.record(out, saved, input)
