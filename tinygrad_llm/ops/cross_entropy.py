"""cross_entropy: how badly scores (logits) predict the right class; softmax, log and choice in one op.

Forward    loss = −log softmax(x)_y = s − x_y,  s = log Σ_v e^(x_v) = m + log Σ_v e^(x_v − m),  m = max_v x_v
Backward   dx_v = dloss · (e^(x_v − s) − [v = y])
Shapes     input (N, C), (C,) or (N, C, d1, …), which the kernels get as rows (N, V)
Saved      dx for an upstream gradient of 1, which backward only has to multiply
Lesson     05_softmax_cross_entropy
Source     label smoothing: Szegedy et al., "Rethinking the Inception Architecture" (2016), section 7

With class weights w and label smoothing ε the right class counts (1 − ε) w_y, and every class ε/V · w_v:
loss = (1 − ε) w_y (s − x_y) + ε/V Σ_v w_v (s − x_v). The mean over rows divides by Σ_n w_y.

Forward already computes dx: a loss is the end of the graph, so that dloss is known up to a factor. e^(x − m) is then
needed once and not twice, and with a vocabulary of 50,000, where the time goes into reading and writing memory, a row
of x is read once, and its gradient written while it is in the cache. Neither log-probabilities nor x are kept.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor, is_grad_enabled
from ..kernel import kernel, prange
from .class_targets import (
    check_class_targets,
    check_reduction,
    class_dim,
    class_weights,
    loss_gradients,
    loss_slope,
    reduce_losses,
)
from .common import as_matrix, as_tensor, cast, require_float
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
def cross_entropy_rows(losses, dx, x, target, weight, weight_sum, ignore_index, a, b, dloss):
    """Per row of x (N, V) its loss, and its gradient times dloss, unless dx is empty. a is 1 − ε, b is ε/V.

    With an empty x the scores are in dx, and become their gradient.
    """
    for n in prange(losses.shape[0]):
        if target[n] == ignore_index:
            losses[n] = 0
            for v in range(dx.shape[1] if dx.size else 0):
                dx[n, v] = 0
        else:
            if x.size and dx.size:
                for v in range(x.shape[1]):
                    dx[n, v] = x[n, v]
            row = dx[n] if dx.size else x[n]
            losses[n] = cross_entropy_row(row, target[n], weight, weight_sum, a, b, dloss, dx.size > 0)


@kernel
def cross_entropy_row(row, y, weight, weight_sum, a, b, dloss, needs_dx):
    """The loss of the scores x in `row` (V,), which become their gradient if that is needed.

    The loss is A·(s − x_y) + Σ_v B_v·(s − x_v), with s = log Σ exp x, A = a·w_y and B_v = b·w_v. So
    dx = (A + Σ B)·softmax(x) − A·[v = y] − B, times dloss. One array that is read and written is faster than two,
    of which the compiler must ask whether they overlap.
    """
    m = largest_of(row)
    # m − x is never negative: abs only keeps a compiler that may regroup sums from adding the logarithm to m first,
    # which would cost the digits of a small loss of large logits.
    target_distance, distances, total = abs(m - row[y]), row.dtype.type(0), row.dtype.type(0)
    if b > 0:
        for v in range(row.shape[0]):
            distances += weight[v] * abs(m - row[v])
    if needs_dx:
        for v in range(row.shape[0]):
            e = fast_exp(row[v] - m)
            row[v] = e
            total += e
        on_target, on_each = dloss * a * weight[y], dloss * b
        scale = (on_target + on_each * weight_sum) / total
        for v in range(row.shape[0]):
            row[v] = scale * row[v] - on_each * weight[v]
        row[y] -= on_target
    else:
        for v in range(row.shape[0]):
            total += fast_exp(row[v] - m)
    log_total = np.log(total)
    return a * weight[y] * (target_distance + log_total) + b * (distances + weight_sum * log_total)


class CrossEntropy(Function):
    @staticmethod
    def forward(x, target, weight, ignore_index, reduction, label_smoothing, needs_dx):
        dim = class_dim(x)
        rows, y = as_rows(x, dim), target.reshape(-1)
        if weight is None:
            weight, weight_sum = np.ones(x.shape[dim], x.dtype), x.dtype.type(x.shape[dim])
            divisor = np.count_nonzero(y != ignore_index)
        else:
            weight_sum, divisor = weight.sum(), weight[y[y != ignore_index]].sum()
        losses = np.empty(len(y), x.dtype)
        dx = np.empty((*target.shape, len(weight)) if needs_dx else (0, 0), x.dtype)  # classes last
        if len(y):
            a, b = x.dtype.type(1 - label_smoothing), x.dtype.type(label_smoothing / len(weight))
            options = (y, weight, weight_sum, ignore_index, a, b, loss_slope(reduction, divisor, x.dtype))
            cross_entropy_rows(losses, as_matrix(dx), rows, *options)
        return reduce_losses(losses.reshape(target.shape), reduction, divisor), (dx, dim)

    @staticmethod
    def backward(dout, saved):
        dx, dim = saved
        if dout.ndim or dout != 1:
            dx = dx * dout[..., None]
        return (dx if dim == dx.ndim - 1 else np.moveaxis(dx, -1, dim),)


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
    if weight is not None:
        weight = class_weights("cross_entropy", weight, input)
    options = (ignore_index, reduction, label_smoothing, is_grad_enabled() and input.requires_grad)
    out, saved = CrossEntropy.forward(input.data, classes, weight, *options)
    return CrossEntropy.record(out, saved, input)
