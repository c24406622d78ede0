"""What the losses share: checks of their arguments, and the three reductions with their derivatives."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(op: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    if reduction not in allowed:
        raise ValueError(f"{op}: reduction must be one of {', '.join(allowed)}, not {reduction!r}.")


def reduce_losses(losses: np.ndarray, reduction: str, divisor: float) -> np.ndarray:
    """The losses, their sum, or the sum / divisor: NaN where nothing was counted, as in PyTorch."""
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if divisor:
        return total / losses.dtype.type(divisor)
    with np.errstate(divide="ignore", invalid="ignore"):
        return total / losses.dtype.type(0)


def loss_slope(reduction: str, divisor: float, dtype: np.dtype) -> np.floating:
    """The derivative of what `reduce_losses` gives by one loss; infinite where nothing was counted."""
    if reduction in ("none", "sum"):
        return dtype.type(1)
    return dtype.type(1 / float(divisor) if divisor else np.inf)


def loss_gradients(dout: np.ndarray, reduction: str, divisor: float, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of each loss, contiguous in `shape`, from that of what `reduce_losses` made of them."""
    if reduction == "none":
        return np.ascontiguousarray(dout).reshape(shape)
    return np.full(shape, dout * loss_slope(reduction, divisor, dout.dtype), dout.dtype)


def class_dim(x: Tensor | np.ndarray) -> int:
    """The dim of the classes: the second, or the only one."""
    return min(1, x.ndim - 1)


def number_of_classes(op: str, x: Tensor) -> int:
    if x.ndim == 0:
        raise ValueError(f"{op}: input is 0-d, expected shape (C,), (N, C) or (N, C, d1, …).")
    classes = x.shape[class_dim(x)]
    if classes == 0:
        raise ValueError(f"{op}: input of shape {x.shape} has no classes along dim {class_dim(x)}.")
    return classes


def check_class_targets(op: str, x: Tensor, target: Tensor, ignore_index: int) -> np.ndarray:
    """A copy of the target classes as int64. `x` is (C,), (N, C) or (N, C, d1, …), target the same without C.

    A copy, since a batch's memory is often filled with the next batch before backward reads it.
    """
    n_classes = number_of_classes(op, x)
    expected = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if target.shape != expected:
        raise ValueError(
            f"{op}: target has shape {target.shape}, expected {expected} for input of shape {x.shape} "
            f"(classes along dim {class_dim(x)})."
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: target classes must be integers, got {target.dtype}; call .long() on them.")
    classes = np.array(target.data, np.int64, order="C")
    # Read as unsigned, a negative class is a huge one: one pass finds out whether there is anything to look at.
    if classes.size and classes.view(np.uint64).max() >= n_classes:
        wrong = ((classes < 0) | (classes >= n_classes)) & (classes != ignore_index)
        if wrong.any():
            raise IndexError(
                f"{op}: target {classes[wrong][0]} is no class: expected 0 to {n_classes - 1}, "
                f"or ignore_index={ignore_index}."
            )
    return classes


def class_weights(op: str, weight: Tensor | None, x: Tensor) -> np.ndarray:
    """The weight of each class (C,) in x's dtype; all 1 by default. Constants: they get no gradient."""
    n_classes = number_of_classes(op, x)
    if weight is None:
        return np.ones(n_classes, x.dtype)
    weight = constant(op, "weight", weight, x.dtype)
    if weight.shape != (n_classes,):
        raise ValueError(f"{op}: weight has shape {weight.shape}, expected ({n_classes},), one for each class.")
    return weight


def constant(op: str, name: str, value: Tensor, dtype: np.dtype) -> np.ndarray:
    """A copy of an argument that gets no gradient; asking for one is an error, not a silent zero."""
    if value.requires_grad:
        raise ValueError(f"{op}: {name} gets no gradient here, but requires it; pass {name}.detach().")
    return np.array(value.data, dtype, order="C")
