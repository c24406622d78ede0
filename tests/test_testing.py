"""The public checks find what is wrong, say where, and leave the inputs as they were."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from toy_functions import apply, leaf, plus, square, times

from tinygrad_llm.autograd import Function, Tensor, no_grad, tensor
from tinygrad_llm.testing import (
    broadcastable_shapes,
    dot_product_check,
    float_arrays,
    gradcheck,
    shapes,
    tensors,
)


class Cube(Function):
    """x³, whose gradient is wrong where `error` says so."""

    error = np.zeros(2)

    @staticmethod
    def forward(x):
        return x**3, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout * 3 * x**2 * (1 + Cube.error),)


def cube(x: Tensor) -> Tensor:
    return apply(Cube, x)


@pytest.fixture
def wrong_by(monkeypatch):
    return lambda *errors: monkeypatch.setattr(Cube, "error", np.array(errors))


CHECKS = pytest.mark.parametrize("check", [gradcheck, dot_product_check])


@CHECKS
def test_right_gradients_pass(check):
    assert check(cube, leaf(1.0, -2.0)) is True
    assert check(times, leaf(1.0, 2.0), leaf(3.0, -4.0)) is True
    assert check(lambda a, b: cube(plus(times(a, b), a)), leaf(0.5, 0.25), leaf(3.0, -4.0)) is True
    assert check(cube, tensor(np.zeros((0, 2)), requires_grad=True)) is True


@CHECKS
def test_a_relative_error_of_one_in_a_hundred_thousand_fails(check, wrong_by):
    wrong_by(1e-7, 1e-7)
    assert check(cube, leaf(1.0, -2.0))
    wrong_by(1e-5, 1e-5)
    with pytest.raises(AssertionError):
        check(cube, leaf(1.0, -2.0))


def test_gradcheck_names_input_index_expected_and_got(wrong_by):
    wrong_by(0.0, 0.5)
    with pytest.raises(AssertionError) as error:
        gradcheck(lambda a, b: plus(a, cube(b)), leaf(1.0, 1.0), leaf(1.0, 2.0))
    message = str(error.value)
    assert "input 1 (shape (2,)) at index (1,)" in message
    expected, got = (float(part.split()[0]) for part in (message.split("gradient ")[1], message.split("got ")[1]))
    assert got == pytest.approx(1.5 * expected, rel=1e-6)


def test_dot_product_check_names_both_sides(wrong_by):
    wrong_by(1.0, 1.0)
    with pytest.raises(
        AssertionError, match=r"= (\S+) from backward, but <Jv, u> = (\S+) from two .* \(2,\)\."
    ) as error:
        dot_product_check(cube, leaf(1.0, 2.0), rng=np.random.default_rng(3))
    numbers = [float(part.split()[0]) for part in str(error.value).split("= ")[1:]]
    assert numbers[0] == pytest.approx(2 * numbers[1], rel=1e-6)


@CHECKS
def test_a_missing_gradient_fails(check):
    class Forgets(Function):
        @staticmethod
        def forward(x):
            return 2 * x, ()

        @staticmethod
        def backward(dout, saved):
            return (np.zeros_like(dout),)

    with pytest.raises(AssertionError):
        check(lambda x: apply(Forgets, x), leaf(1.0))
    with pytest.raises(AssertionError, match="not connected"):
        check(lambda x: square(x.detach()), leaf(1.0))
    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(lambda a, b: times(a, b.detach()), leaf(2.0), leaf(3.0))


@CHECKS
def test_nan_fails(check, wrong_by):
    wrong_by(np.nan, 0.0)
    with pytest.raises(AssertionError):
        check(cube, leaf(1.0, 2.0))


@CHECKS
def test_inputs_and_their_gradients_are_left_as_they_were(check, wrong_by):
    x, constant = leaf(1.0, 2.0), tensor(np.array([3.0, 4.0]))
    square(x).backward(np.ones(2))
    data, grad, values = x.data, x.grad, x.data.copy()
    check(times, x, constant)
    wrong_by(1.0, 1.0)
    with pytest.raises(AssertionError):
        check(cube, x)
    assert x.data is data
    assert x.grad is grad
    assert constant.grad is None
    np.testing.assert_array_equal(data, values)


@CHECKS
def test_tensors_that_fn_closes_over_are_checked(check):
    weight = leaf(1.0, 2.0)
    assert check(lambda *_: cube(weight), weight)


@CHECKS
def test_inputs_that_cannot_be_checked(check):
    name = check.__name__
    with pytest.raises(TypeError, match=rf"{name}: input 0 is float32, too coarse .* float64"):
        check(square, tensor([1.0], requires_grad=True))
    with pytest.raises(TypeError, match=rf"{name}: input 1 must be a Tensor, not ndarray"):
        check(times, leaf(1.0), np.ones(1))
    with pytest.raises(ValueError, match="none of the 1 inputs requires grad"):
        check(square, tensor(np.ones(1)))
    with pytest.raises(ValueError, match=r"input 0 is no leaf; give x\.detach"):
        check(square, square(leaf(1.0)))
    with pytest.raises(TypeError, match="must return one float64 Tensor, not tuple"):
        check(lambda x: (x, x), leaf(1.0))


@CHECKS
def test_a_function_with_unseeded_randomness(check):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two results for the same inputs; fix the seed"):
        check(lambda x: times(x, tensor(rng.random(1))), leaf(1.0))


@CHECKS
def test_under_no_grad(check):
    with no_grad(), pytest.raises(AssertionError, match="not connected"):
        check(square, leaf(1.0))


# Strategies


@given(shapes(min_dims=1, max_dims=2, min_side=2, max_side=3))
def test_shapes_keep_their_bounds(shape):
    assert isinstance(shape, tuple)
    assert 1 <= len(shape) <= 2
    assert all(2 <= side <= 3 for side in shape)


@given(broadcastable_shapes(3))
def test_broadcastable_shapes_broadcast(drawn):
    assert len(drawn) == 3
    assert len(np.broadcast_shapes(*drawn)) <= 3


@pytest.mark.parametrize(
    "wanted",
    [
        lambda a, b: 0 in np.broadcast_shapes(a, b),
        lambda a, b: a == () and len(b) == 2,
        lambda a, b: 1 in a and b == (3,),
        lambda a, b: 1 in a and b and b[-1] == 1 != a[-1],
    ],
    ids=["empty", "0-d", "stretched", "both stretched"],
)
def test_broadcastable_shapes_draws_all_kinds(wanted):
    no_shrinking = settings(max_examples=2000, derandomize=True, phases=[Phase.generate])
    find(broadcastable_shapes(), lambda drawn: wanted(*drawn), settings=no_shrinking)


@given(float_arrays(shapes(max_side=5), low=-0.5, high=2.0))
def test_float_arrays_are_float64_of_few_decimals_within_bounds(array):
    assert type(array) is np.ndarray
    assert array.dtype == np.float64
    assert array.flags.writeable
    np.testing.assert_array_equal(array, np.round(array, 2))
    assert ((-0.5 <= array) & (array <= 2.0)).all()


@given(float_arrays(4), float_arrays((2, 9)), tensors(), tensors((3,), requires_grad=False))
def test_shapes_may_be_an_int_a_tuple_or_left_out(vector, matrix, anything, constant):
    assert vector.shape == (4,)
    assert matrix.shape == (2, 9)
    assert anything.requires_grad
    assert anything.is_leaf
    assert constant.shape == (3,)
    assert not constant.requires_grad


def test_bounds_the_wrong_way_round():
    with pytest.raises(ValueError, match=r"low must be below high, got low=1\.0 and high=1\.0"):
        float_arrays(3, low=1, high=1)


def test_counterexamples_shrink_to_simple_ones():
    smallest = find(float_arrays(shapes()), lambda array: (array < -0.3).any())
    assert smallest.size == 1
    assert smallest.item() == -1.0


def test_without_hypothesis_the_checks_work_and_the_strategies_name_the_extra():
    code = """
import sys
sys.modules["hypothesis"] = None
import numpy as np
from tinygrad_llm import tensor
from tinygrad_llm.testing import gradcheck, tensors
assert gradcheck(lambda x: x * x, tensor(np.ones(2), requires_grad=True))
try:
    tensors()
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert 'pip install "tinygrad_llm[test]"' in result.stdout
