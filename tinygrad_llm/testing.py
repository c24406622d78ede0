"""Check the gradients of your own op: by central differences, by a dot product, on what hypothesis draws.

    from hypothesis import given
    from tinygrad_llm.testing import gradcheck, tensors

    @given(tensors((2, 3)))
    def test_square(x):
        assert gradcheck(square, x)

`gradcheck` compares each element of each gradient; `dot_product_check` needs two forward passes at any size.
Both work in float64, since a difference of two nearby float32 numbers has hardly a digit left. The
strategies draw numbers with few decimals and prefer the simple ones, so that a failing example shrinks to one
that can be read. They need hypothesis, which is in the extra `test`; the two checks do not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from .autograd import Tensor, no_grad

# Arrays of up to so many elements are drawn element by element, which shrinks best; larger ones from a seed.
_DRAWN_ONE_BY_ONE = 6


def gradcheck(
    fn: Callable[..., Tensor],
    *tensors: Tensor,
    epsilon: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> bool:
    """Whether backward's gradients of `fn(*tensors)` equal central differences: True, or an AssertionError.

    Let L = Σ u·fn(x), with a fixed random u of the output's shape. Each element of each input that requires
    grad is moved by ±epsilon, and (L₊ − L₋) / 2·epsilon is compared with the gradient that backward gives:

        |expected − got| ≤ rtol · max(|expected|, |got|) + atol · max(1, largest |fn(x)|)

    that is, a relative error below 1e-6 for gradients from 0.01 up, with a floor for smaller ones, which lie
    in the rounding of fn's own values. `fn` may close over the tensors, so a module is checked by
    `gradcheck(lambda *_: model(x), *model.parameters())`. Tensors and their `.grad` are left as they were.

    Raises TypeError for floating-point inputs that are not float64, and ValueError where nothing requires
    grad, an input is not a leaf, or `fn` is not deterministic (dropout without a fixed generator).
    """
    checked = _inputs_to_check("gradcheck", tensors)
    got, u, scale = _gradients("gradcheck", fn, tensors, checked)
    for (number, x), gradient in zip(checked, got, strict=True):
        for index in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[index] = epsilon
            expected = _slope(fn, tensors, [x], [step], u) / epsilon
            tolerance = rtol * max(abs(expected), abs(gradient[index])) + atol * scale
            if not abs(expected - gradient[index]) <= tolerance:
                raise AssertionError(
                    f"gradcheck: input {number} (shape {x.shape}) at index {index}: expected gradient "
                    f"{expected:.9g} by central differences, got {gradient[index]:.9g} from backward."
                )
    return True


def dot_product_check(
    fn: Callable[..., Tensor],
    *tensors: Tensor,
    rng: np.random.Generator | None = None,
    epsilon: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> bool:
    """Whether ⟨v, Jᵀu⟩ = ⟨Jv, u⟩ for the Jacobian J of `fn` and random u, v: True, or an AssertionError.

    Jᵀu is what backward computes from u; Jv is a central difference of two forward passes, with all inputs
    moved along v at once: a few passes at any size, where `gradcheck` makes two for each element.
    Tolerances are relative to the sum of the absolute terms of ⟨v, Jᵀu⟩. Raises what `gradcheck` raises.
    Source: the vector-Jacobian checks of HIPS autograd's test_util.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    checked = _inputs_to_check("dot_product_check", tensors)
    got, u, scale = _gradients("dot_product_check", fn, tensors, checked, rng)
    directions = [rng.standard_normal(x.shape) for _, x in checked]
    terms = [(v * gradient).ravel() for v, gradient in zip(directions, got, strict=True)]
    backward_side = sum(term.sum() for term in terms)
    steps = [epsilon * v for v in directions]
    forward_side = _slope(fn, tensors, [x for _, x in checked], steps, u) / epsilon
    tolerance = rtol * sum(np.abs(term).sum() for term in terms) + atol * scale * max(1.0, math.sqrt(u.size))
    if not abs(backward_side - forward_side) <= tolerance:
        shapes_of_inputs = ", ".join(str(x.shape) for x in tensors)
        raise AssertionError(
            f"dot_product_check: <v, J'u> = {backward_side:.9g} from backward, but <Jv, u> = "
            f"{forward_side:.9g} from two forward passes, for inputs of shapes {shapes_of_inputs}."
        )
    return True


def _inputs_to_check(name: str, tensors: tuple[Tensor, ...]) -> list[tuple[int, Tensor]]:
    """The inputs that require grad, with their numbers, after refusing what cannot be checked."""
    for number, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: input {number} must be a Tensor, not {type(x).__name__}.")
        if x.is_floating_point() and x.dtype != np.float64:
            raise TypeError(
                f"{name}: input {number} is {x.dtype}, too coarse for differences: make it float64, "
                "for example with tensor(data, dtype='float64', requires_grad=True)."
            )
        if not x.is_leaf:
            raise ValueError(f"{name}: input {number} is no leaf; give x.detach().requires_grad_().")
    checked = [(number, x) for number, x in enumerate(tensors) if x.requires_grad]
    if not checked:
        raise ValueError(f"{name}: none of the {len(tensors)} inputs requires grad: nothing to check.")
    return checked


def _gradients(name, fn, tensors, checked, rng=None) -> tuple[list[np.ndarray], np.ndarray, float]:
    """The gradient of each checked input from backward, the u it started from, the output's scale."""
    earlier = [x.grad for _, x in checked]
    try:
        for _, x in checked:
            x.grad = None
        out = fn(*tensors)
        _check_output(name, out, fn, tensors)
        u = (np.random.default_rng(0) if rng is None else rng).standard_normal(out.shape)
        out.backward(u)
        got = [np.zeros(x.shape) if x.grad is None else x.grad.data for _, x in checked]
    finally:
        for (_, x), grad in zip(checked, earlier, strict=True):
            x.grad = grad
    return got, u, float(np.abs(out.data).max(initial=1.0))


def _check_output(name: str, out: Tensor, fn: Callable, tensors: tuple[Tensor, ...]) -> None:
    if not isinstance(out, Tensor) or out.dtype != np.float64:
        what = str(out.dtype) if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(f"{name}: fn must return one float64 Tensor, not {what}.")
    if not out.requires_grad:
        raise AssertionError(f"{name}: fn's output is not connected to the inputs: it does not require grad.")
    with no_grad():
        again = fn(*tensors)
    if not np.array_equal(out.data, again.data, equal_nan=True):
        raise ValueError(f"{name}: fn gave two results for the same inputs; fix the seed of its randomness.")


def _slope(fn, tensors, moved: list[Tensor], steps: list[np.ndarray], u: np.ndarray) -> float:
    """Half of Σ u·(fn(x + step) − fn(x − step)): summed after the difference, which keeps more digits."""
    originals = [x.data for x in moved]
    outputs = []
    try:
        for sign in (1, -1):
            for x, original, step in zip(moved, originals, steps, strict=True):
                x.data = original + sign * step
            with no_grad():
                outputs.append(fn(*tensors).data)
    finally:
        for x, original in zip(moved, originals, strict=True):
            x.data = original
    return float(np.sum(u * (outputs[0] - outputs[1]))) / 2


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4):
    """Strategy: shapes as tuples, empty axes and 0-d included unless `min_side` or `min_dims` is 1."""
    st = _strategies()
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def broadcastable_shapes(n: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 4):
    """Strategy: a tuple of `n` shapes that broadcast together: leading dims left out, others set to 1."""
    st = _strategies()

    def one_that_broadcasts(shape: tuple[int, ...]):
        sides = st.tuples(*(st.sampled_from((side, 1)) for side in shape))
        return st.tuples(sides, st.integers(0, len(shape))).map(lambda drawn: drawn[0][drawn[1] :])

    return shapes(0, max_dims, min_side, max_side).flatmap(
        lambda shape: st.tuples(*(one_that_broadcasts(shape) for _ in range(n)))
    )


def float_arrays(shape, low: float = -3.0, high: float = 3.0):
    """Strategy: float64 arrays of `shape` (an int, a tuple or a strategy of tuples) from `low` to `high`.

    Values are multiples of a power of ten, at least a hundred of them: of 0.01 from -3 to 3. So no value lies
    very near to another, or to a kink at 0, without being equal to it. Arrays of up to six elements shrink best.
    """
    st = _strategies()
    values = _simple_values(float(low), float(high))

    def of_shape(shape: tuple[int, ...]):
        size = math.prod(shape)
        if size <= _DRAWN_ONE_BY_ONE:
            elements = st.lists(st.sampled_from(values), min_size=size, max_size=size)
            return elements.map(lambda drawn: np.array(drawn, dtype=np.float64).reshape(shape))
        table = np.array(values)
        return st.integers(0, 2**16 - 1).map(lambda seed: np.random.default_rng(seed).choice(table, shape))

    if isinstance(shape, (int, np.integer)):
        shape = (int(shape),)
    return of_shape(tuple(shape)) if isinstance(shape, (tuple, list)) else shape.flatmap(of_shape)


def tensors(shape=None, low: float = -3.0, high: float = 3.0, requires_grad: bool = True):
    """Strategy: float64 leaf tensors, of `shapes()` where no shape or strategy of shapes is given."""
    arrays = float_arrays(shapes() if shape is None else shape, low, high)
    return arrays.map(_trainable if requires_grad else Tensor)


def _trainable(array: np.ndarray) -> Tensor:
    return Tensor(array, requires_grad=True)


@functools.cache
def _simple_values(low: float, high: float) -> tuple[float, ...]:
    """The numbers with few decimals from `low` to `high`, simplest first: 0, 1, -1, 2, -2, 0.1, 0.01."""
    if not low < high:
        raise ValueError(f"float_arrays: low must be below high, got low={low} and high={high}.")
    decimals = 2 - math.floor(math.log10(high - low))
    unit = 10.0**decimals
    multiples = range(math.ceil(low * unit), math.floor(high * unit) + 1)

    def complexity(value: float):
        needed = next((d for d in range(-6, decimals) if round(value, d) == value), decimals)
        return max(needed, 0), abs(value), value < 0

    return tuple(sorted((round(multiple / unit, decimals) for multiple in multiples), key=complexity))


def _strategies():
    try:
        from hypothesis import strategies
    except ImportError:
        raise ImportError(
            'The strategies of tinygrad_llm.testing need hypothesis: pip install "tinygrad_llm[test]".'
        ) from None
    return strategies
