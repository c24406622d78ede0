"""nll_loss, mse_loss, binary_cross_entropy_with_logits, kl_div: losses beside cross_entropy.

Each compares an input with a target element by element, then takes the mean or the sum, or leaves the losses.

nll_loss   −w_y x_y  of log-probabilities x       dx_y = −w_y          cross_entropy = nll_loss(log_softmax)
mse_loss   (x − t)²                               dx = 2 (x − t)       dt = −dx
bce        w (−p t log σ(x) − (1 − t) log σ(−x))  dx = w ((1 − t) σ(x) − p t σ(−x))       (p is pos_weight)
kl_div     t (log t − x)  of log-probabilities x  dx = −t              dt = log t − x + 1
Shapes     target as input; nll_loss as cross_entropy: input (N, C, d1, …), target (N, d1, …)
Saved      input and target, or what the backward formula needs of them
Lesson     05_softmax_cross_entropy
Source     kl_div: Kullback and Leibler, "On Information and Sufficiency" (1951)

log σ(x) = −log(1 + e^(−x)) as `−np.logaddexp(0, −x)` neither overflows nor loses the digits of a small loss.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .class_targets import (
    REDUCTIONS,
    check_class_targets,
    check_reduction,
    class_dim,
    class_weights,
    constant,
    loss_gradients,
    reduce_losses,
)
from .common import as_tensor, cast, require_float


def nll_loss_ref(x, target, weight=None, ignore_index=-100, reduction="mean"):
    """Rows (N, C) and their classes (N,)."""
    weight = np.ones(x.shape[1]) if weight is None else weight
    w = np.array([0.0 if y == ignore_index else weight[y] for y in target])
    losses = np.array([0.0 if y == ignore_index else -weight[y] * x[n, y] for n, y in enumerate(target)])
    return losses if reduction == "none" else losses.sum() / (w.sum() if reduction == "mean" else 1)


def mse_loss_ref(x, target):
    return ((x - target) ** 2).mean()


def binary_cross_entropy_with_logits_ref(x, target, weight=1.0, pos_weight=1.0):
    p = 1 / (1 + np.exp(-x))
    return -(weight * (pos_weight * target * np.log(p) + (1 - target) * np.log(1 - p))).mean()


def kl_div_ref(x, target):
    return (target * (np.log(target) - x)).mean()


class NLLLoss(Function):
    @staticmethod
    def forward(x, target, weight, ignore_index, reduction):
        dim = class_dim(x)
        kept = target != ignore_index
        target = np.where(kept, target, 0)
        weights = np.where(kept, weight[target], 0)
        log_p = np.take_along_axis(x, np.expand_dims(target, dim), dim).squeeze(dim)
        losses = -weights * np.where(kept, log_p, 0)
        divisor = weights.sum()
        out = reduce_losses(losses, reduction, divisor)
        return out, (target, kept, weights, reduction, divisor, x.shape, dim)

    @staticmethod
    def backward(dout, saved):
        target, kept, weights, reduction, divisor, shape, dim = saved
        dlosses = np.where(kept, loss_gradients(dout, reduction, divisor, target.shape), 0)
        dx = np.zeros(shape, dout.dtype)
        np.put_along_axis(dx, np.expand_dims(target, dim), np.expand_dims(-weights * dlosses, dim), dim)
        return (dx,)


class MSELoss(Function):
    @staticmethod
    def forward(x, target, reduction):
        difference = x - target
        return reduce_losses(difference * difference, reduction, x.size), (difference, reduction)

    @staticmethod
    def backward(dout, saved):
        difference, reduction = saved
        dx = 2 * difference * loss_gradients(dout, reduction, difference.size, difference.shape)
        return dx, -dx


class BinaryCrossEntropyWithLogits(Function):
    @staticmethod
    def forward(x, target, weight, pos_weight, reduction, target_needs_grad):
        positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)  # −log σ(x) and −log σ(−x), both ≥ 0
        losses = weight * (pos_weight * target * positive + (1 - target) * negative)
        saved = (x, target, weight, pos_weight, reduction, target_needs_grad)
        return reduce_losses(losses, reduction, x.size), saved

    @staticmethod
    def backward(dout, saved):
        x, target, weight, pos_weight, reduction, target_needs_grad = saved
        dlosses = weight * loss_gradients(dout, reduction, x.size, x.shape)
        positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
        dx = dlosses * ((1 - target) * np.exp(-positive) - pos_weight * target * np.exp(-negative))
        return dx, dlosses * (pos_weight * positive - negative) if target_needs_grad else None


class KLDiv(Function):
    @staticmethod
    def forward(x, target, reduction, log_target, target_needs_grad):
        divisor = x.shape[0] if reduction == "batchmean" and x.ndim else x.size
        t = np.exp(target) if log_target else target
        log_t = target if log_target else np.log(np.where(target == 0, 1, target))  # 0 log 0 is 0
        out = reduce_losses(t * (log_t - x), reduction, divisor)
        return out, (x, target, log_target, reduction, divisor, target_needs_grad)

    @staticmethod
    def backward(dout, saved):
        x, target, log_target, reduction, divisor, target_needs_grad = saved
        dlosses = loss_gradients(dout, reduction, divisor, x.shape)
        t = np.exp(target) if log_target else target
        dtarget = None
        if target_needs_grad and log_target:
            dtarget = dlosses * t * (target - x + 1)
        elif target_needs_grad:
            with np.errstate(divide="ignore"):  # the slope at t = 0 is −inf
                dtarget = dlosses * (np.log(target) - x + 1)
        return -dlosses * t, dtarget


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−input at the target class, where input is log-probabilities; shapes and options as in cross_entropy.

    Raises IndexError for a target that is no class, ValueError where shapes do not fit.
    """
    require_float("nll_loss", input)
    check_reduction("nll_loss", reduction)
    classes = check_class_targets("nll_loss", input, as_tensor("nll_loss", target), ignore_index)
    weight = class_weights("nll_loss", weight, input)
    out, saved = NLLLoss.forward(input.data, classes, weight, ignore_index, reduction)
    return NLLLoss.record(out, saved, input)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(input − target)², of equal shapes: PyTorch broadcasts with a warning, which is mostly a mistake.

    Raises ValueError where the shapes differ.
    """
    target = _like_input("mse_loss", input, target, reduction)
    out, saved = MSELoss.forward(input.data, target.data, reduction)
    return MSELoss.record(out, saved, input, target)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of yes/no decisions: σ(input) is the probability of yes, target (0 to 1) the truth.

    `weight` is a factor of each loss, `pos_weight` of the yes part only; both broadcast to input's shape.
    Raises ValueError where the shapes do not fit.

    >>> round(binary_cross_entropy_with_logits(tensor([0.0]), tensor([1.0])).item(), 4)  # ln 2
    0.6931
    """
    op = "binary_cross_entropy_with_logits"
    target = _like_input(op, input, target, reduction)
    weight = _factor(op, "weight", weight, input)
    pos_weight = _factor(op, "pos_weight", pos_weight, input)
    out, saved = BinaryCrossEntropyWithLogits.forward(
        input.data, target.data, weight, pos_weight, reduction, target.requires_grad
    )
    return BinaryCrossEntropyWithLogits.record(out, saved, input, target)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target · (log target − input), of log-probabilities `input` and probabilities `target` (or their logs).

    The divergence KL(target ‖ input) of two distributions is "sum"; its mean over a batch is "batchmean", which
    divides by the first dim. "mean" divides by the number of elements, as in PyTorch.
    Raises ValueError where the shapes differ.
    """
    target = _like_input("kl_div", input, target, reduction, (*REDUCTIONS, "batchmean"))
    out, saved = KLDiv.forward(input.data, target.data, reduction, log_target, target.requires_grad)
    return KLDiv.record(out, saved, input, target)


def _like_input(op: str, input: Tensor, target: Tensor, reduction: str, allowed=REDUCTIONS) -> Tensor:
    """The target in input's dtype, after the checks that elementwise losses share."""
    require_float(op, input)
    check_reduction(op, reduction, allowed)
    target = as_tensor(op, target)
    if target.shape != input.shape:
        raise ValueError(f"{op}: target has shape {target.shape}, expected input's shape {input.shape}.")
    return cast(target, input.dtype)


def _factor(op: str, name: str, value: Tensor | None, input: Tensor) -> np.ndarray:
    """A constant that broadcasts to input's shape; 1 by default."""
    if value is None:
        return np.ones((), input.dtype)
    value = constant(op, name, value, input.dtype)
    try:
        np.broadcast_to(value, input.shape)
    except ValueError:
        raise ValueError(
            f"{op}: {name} of shape {value.shape} does not broadcast to input's shape {input.shape}."
        ) from None
    return value
