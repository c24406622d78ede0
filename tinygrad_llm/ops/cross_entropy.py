"""cross_entropy: how badly scores (logits) predict the right class; softmax, log and choice in one op.

Forward    loss = −log softmax(x)_y = s − x_y,  s = log Σ_v e^(x_v) = m + log Σ_v e^(x_v − m),  m = max_v x_v
Backward   dx_v = dloss · (e^(x_v − s) − [v = y])
Shapes     input (N, C), (C,) or (N, C, d1, …), which the kernels get as rows (N, V)
Saved      input, target, and per row m and Σ e^(x − m); s would be one number, but with fewer digits. Not the
           probabilities (N, V): they are cheaper computed again than kept
Lesson     05_softmax_cross_entropy
Source     label smoothing: Szegedy et al., "Rethinking the Inception Architecture" (2016), section 7

With class weights w and label smoothing ε the right class counts (1 − ε) w_y, and every class ε/V · w_v:
loss = (1 − ε) w_y (s − x_y) + ε/V Σ_v w_v (s − x_v). The mean over rows divides by Σ_n w_y.

With a vocabulary of 50,000 the time goes into reading and writing memory. So the log-probabilities (N, V) never
exist: forward reads each row from memory, backward reads it again and writes its gradient.
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
from .fast_math import fast_exp, largest_of
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
    if reduction == "none":
        return losses
    return losses.sum() / (weight[target].sum() if reduction == "mean" else 1)


@kernel(parallel=True)
def cross_entropy_forward(losses, largest, totals, x, target, weight, weight_sum, ignore_index, a, b):
    """Per row of x (N, V) its loss, and for backward m and Σ e^(x − m). a is 1 − ε, b is ε/V."""
    N, V = x.shape
    for n in prange(N):
        row = x[n]
        y = target[n]
        losses[n] = largest[n] = totals[n] = x.dtype.type(0.0)
        if y != ignore_index:
            m = largest_of(row)
            total = x.dtype.type(0.0)
            for v in range(V):
                total += fast_exp(row[v] - m)
            log_total = np.log(total)
            # m − x is never negative: abs only keeps a compiler that may regroup sums from adding log_total to m
            # first, which would cost the digits of a small loss of large logits.
            loss = a * weight[y] * (abs(m - row[y]) + log_total)
            if b > 0:
                spread = x.dtype.type(0.0)
                for v in range(V):
                    spread += weight[v] * abs(m - row[v])
                loss += b * (spread + weight_sum * log_total)
            losses[n] = loss
            largest[n] = m
            totals[n] = total


@kernel(parallel=True)
def cross_entropy_backward(dx, dlosses, x, largest, totals, target, weight, weight_sum, ignore_index, a, b):
    """Forward was A·(s − x_y) + Σ_v B_v·(s − x_v), with A = a·w_y and B_v = b·w_v.

    So now dx = (A + Σ B)·softmax(x) − A·[v = y] − B, times dloss.
    """
    N, V = x.shape
    for n in prange(N):
        row = x[n]
        dx_row = dx[n]
        y = target[n]
        if y == ignore_index:
            for v in range(V):
                dx_row[v] = x.dtype.type(0.0)
        else:
            m = largest[n]
            on_target = dlosses[n] * a * weight[y]
            on_each = dlosses[n] * b
            scale = (on_target + on_each * weight_sum) / totals[n]
            if b > 0:
                for v in range(V):
                    dx_row[v] = scale * fast_exp(row[v] - m) - on_each * weight[v]
            else:
                for v in range(V):
                    dx_row[v] = scale * fast_exp(row[v] - m)
            dx_row[y] -= on_target


class CrossEntropy(Function):
    @staticmethod
    def forward(x, target, weight, ignore_index, reduction, label_smoothing):
        dim = class_dim(x)
        rows, y = as_rows(x, dim), target.reshape(-1)
        losses, largest, totals = np.empty((3, len(y)), x.dtype)
        a, b = x.dtype.type(1 - label_smoothing), x.dtype.type(label_smoothing / len(weight))
        options = (y, weight, weight.sum(), ignore_index, a, b)
        if len(y):
            cross_entropy_forward(losses, largest, totals, rows, *options)
        divisor = weight[y[y != ignore_index]].sum()
        out = reduce_losses(losses.reshape(target.shape), reduction, divisor)
        return out, (rows, largest, totals, options, reduction, divisor, x.shape, dim)

    @staticmethod
    def backward(dout, saved):
        rows, largest, totals, options, reduction, divisor, shape, dim = saved
        dx = np.empty((*shape[:dim], *shape[dim + 1 :], shape[dim]), rows.dtype)  # classes last
        if len(rows):
            dlosses = loss_gradients(dout, reduction, divisor, largest.shape)
            cross_entropy_backward(dx.reshape(rows.shape), dlosses, rows, largest, totals, *options)
        return (dx if dim == len(shape) - 1 else np.moveaxis(dx, -1, dim),)


class SoftCrossEntropy(Function):
    """Targets are probabilities q of x's shape: −Σ_c w_c q_c log p_c, q smoothed. Saves log p and w·q."""

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
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−log softmax(input) at the target class, in nats; a uniform guess among C classes costs ln C.

    input     logits (C,), (N, C) or (N, C, d1, …)
    target    classes: integers of shape (), (N,) or (N, d1, …); or probabilities of input's shape and dtype
    weight    (C,): how much each class counts; the mean divides by the weights of the targets
    ignore_index      rows with this target cost nothing and get no gradient; the mean of none is NaN
    reduction         "mean", "sum", or "none" for the losses in target's shape
    label_smoothing   in [0, 1]: the part of each target that is spread evenly over all classes

    For probabilities ignore_index has no meaning, and the mean divides by the number of rows.
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
