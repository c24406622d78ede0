"""Reductions where PyTorch's rules are special: ties, zeros, nothing to reduce, integers, dims.

Expected values are what PyTorch 2.13 gives; RuntimeWarnings are errors in these tests.
"""

from math import inf, nan

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor, tensor
from tinygrad_llm.ops import extrema, reduce

EMPTY = np.zeros((0, 3), np.float32)

# The dtype of f(x), "-" where it raises.
DTYPES = """
            bool    uint8   int8    int64   float32 float64
sum         int64   int64   int64   int64   float32 float64
prod        int64   int64   int64   int64   float32 float64
cumsum      int64   int64   int64   int64   float32 float64
mean        -       -       -       -       float32 float64
var         -       -       -       -       float32 float64
std         -       -       -       -       float32 float64
logsumexp   float32 float32 float32 float32 float32 float64
amax        bool    uint8   int8    int64   float32 float64
amin        bool    uint8   int8    int64   float32 float64
max         bool    uint8   int8    int64   float32 float64
all         bool    bool    bool    bool    bool    bool
"""

NEED_A_DIM = ("cumsum", "logsumexp")


def function(name):
    fn = getattr(reduce, name, None) or getattr(extrema, name)
    return (lambda x: fn(x, 0)) if name in NEED_A_DIM else fn


def gradients(fn, value):
    """fn's value, and the gradient of its sum."""
    x = tensor(value, dtype="float64", requires_grad=True)
    out = fn(x)
    out.backward(np.ones(out.shape))
    return out.tolist(), x.grad.tolist()


def rows(table):
    header, *lines = (line.split() for line in table.strip().splitlines())
    return [(name, column, entry) for name, *entries in lines for column, entry in zip(header, entries, strict=True)]


@pytest.mark.parametrize(("name", "dtype", "expected"), rows(DTYPES))
def test_dtypes(name, dtype, expected):
    for shape in ((3,), ()):
        x = Tensor(np.ones(shape, dtype))
        if expected == "-":
            with pytest.raises(TypeError, match=f"^{name}: "):
                function(name)(x)
        elif name in ("var", "std") and not shape:
            with pytest.warns(UserWarning, match=f"^{name}: "):
                assert function(name)(x).dtype == expected
        else:
            assert function(name)(x).dtype == expected


def test_dtype_converts_first():
    x = tensor([True, False, True])
    assert (reduce.sum(x, dtype="float32").item(), reduce.sum(x).item()) == (2.0, 2)
    assert reduce.mean(tensor([1, 2]), dtype="float32").item() == 1.5
    assert reduce.prod(tensor([0.5, 3.5]), dtype="int64").item() == 0
    assert reduce.cumsum(tensor([200, 100], dtype="uint8"), 0).tolist() == [200, 300]


@pytest.mark.parametrize(
    ("name", "everything", "over_dim_0", "over_dim_1_shape"),
    [
        ("sum", 0.0, [0.0] * 3, (0,)),
        ("prod", 1.0, [1.0] * 3, (0,)),
        ("mean", nan, [nan] * 3, (0,)),
        ("logsumexp", -inf, [-inf] * 3, (0,)),
        ("all", True, [True] * 3, (0,)),
        ("any", False, [False] * 3, (0,)),
    ],
)
def test_nothing_to_reduce(name, everything, over_dim_0, over_dim_1_shape):
    fn, x = getattr(reduce, name, None) or getattr(extrema, name), Tensor(EMPTY)
    np.testing.assert_equal(fn(x, None).tolist(), everything)
    np.testing.assert_equal(fn(x, 0).tolist(), over_dim_0)
    assert fn(x, 1).shape == over_dim_1_shape
    assert fn(x, 1, keepdim=True).shape == (0, 1)


def test_gradients_of_nothing_are_nothing():
    for fn in (reduce.sum, reduce.mean, reduce.prod, lambda x: reduce.cumsum(x, 0), lambda x: extrema.amax(x, 1)):
        x = Tensor(EMPTY, requires_grad=True)
        out = fn(x)
        out.backward(np.ones(out.shape))
        assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "argmax", "argmin"])
def test_no_largest_of_nothing(name):
    fn, x = getattr(extrema, name), Tensor(EMPTY)
    with pytest.raises(ValueError, match=rf"^{name}: dim 0 of shape \(0, 3\) is empty"):
        fn(x)
    with pytest.raises(ValueError, match=rf"^{name}: dim 0 of shape \(0, 3\) is empty"):
        fn(x, 0)
    out = fn(x, 1)
    assert (out.values if name in ("max", "min") else out).shape == (0,)


def test_variance_without_degrees_of_freedom_warns_as_pytorch_does():
    with pytest.warns(UserWarning, match=r"^var: 1 element\(s\) of shape \(1,\) .* correction=1") as record:
        out = reduce.var(tensor([1.0]))
    assert np.isnan(out.item())
    assert record[0].filename == __file__
    with pytest.warns(UserWarning, match=r"^std: 0 element"):
        assert np.isnan(reduce.std(Tensor(EMPTY), 0).data).all()
    with pytest.warns(UserWarning, match=r"^var: 2 element"):
        assert reduce.var(tensor([1.0, 2.0]), correction=2).item() == inf
    assert reduce.var(tensor([1.0, 2.0]), correction=0).item() == 0.25
    assert reduce.var(tensor([1.0, 2.0]), correction=0.5).item() == pytest.approx(0.5 / 1.5)


def test_std_of_equal_elements_has_gradient_zero():
    assert gradients(reduce.std, [2.0, 2.0]) == (0.0, [0.0, 0.0])


def test_prod_with_zeros():
    assert gradients(reduce.prod, [0.0, 2.0, 3.0]) == (0.0, [6.0, 0.0, 0.0])
    assert gradients(reduce.prod, [0.0, 0.0, 3.0]) == (0.0, [0.0, 0.0, 0.0])
    one_row_with_one_zero = [[0.0, 2.0], [0.0, 0.0]]
    assert gradients(lambda x: reduce.prod(x, 1), one_row_with_one_zero) == ([0.0, 0.0], [[2.0, 0.0], [0.0, 0.0]])


def test_logsumexp_of_extreme_rows():
    out, dx = gradients(lambda x: reduce.logsumexp(x, 1), [[1000.0, 1000.0], [-inf, 1.0], [-1e4, -1e4]])
    np.testing.assert_allclose(out, [1000 + np.log(2), 1.0, -1e4 + np.log(2)])
    np.testing.assert_allclose(dx, [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    out, dx = gradients(lambda x: reduce.logsumexp(x, 1), [[-inf, -inf], [inf, 0.0], [nan, 0.0]])
    np.testing.assert_equal(out, [-inf, inf, nan])
    np.testing.assert_equal(dx, [[nan, nan], [nan, 0.0], [nan, nan]])


def test_ties_share_the_gradient_of_amax_and_of_max_over_all():
    for fn in (extrema.amax, extrema.max):
        assert gradients(fn, [[1.0, 3.0], [3.0, 2.0]]) == (3.0, [[0.0, 0.5], [0.5, 0.0]])
    for fn in (extrema.amin, extrema.min):
        assert gradients(fn, [1.0, 1.0, 1.0, 1.0]) == (1.0, [0.25] * 4)
    assert gradients(lambda x: extrema.amax(x, 1), [[1.0, 1.0], [0.0, 2.0]])[1] == [[0.5, 0.5], [0.0, 1.0]]


def test_the_first_of_several_gets_the_gradient_of_max_along_a_dim():
    assert gradients(lambda x: extrema.max(x, 0).values, [1.0, 3.0, 3.0]) == (3.0, [0.0, 1.0, 0.0])
    assert gradients(lambda x: extrema.min(x, -1, keepdim=True)[0], [[2.0, 0.0, 0.0]]) == ([[0.0]], [[0.0, 1.0, 0.0]])


def test_max_along_a_dim_gives_values_and_indices():
    x = tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    values, indices = extrema.max(x, dim=1)
    assert (values.tolist(), indices.tolist(), indices.dtype) == ([5.0, 7.0], [1, 0], np.int64)
    assert extrema.min(x, dim=0, keepdim=True).indices.tolist() == [[0, 1, 0]]
    assert extrema.max(tensor([3, 9]), 0).values.tolist() == 9
    values, indices = extrema.max(tensor(3.0), 0)
    assert (values.tolist(), indices.tolist()) == (3.0, 0)
    with pytest.raises(TypeError, match=r"max: dim must be an int, not \(0, 1\)"):
        extrema.max(x, (0, 1))


def test_nan_is_the_largest_and_the_smallest():
    np.testing.assert_equal(gradients(extrema.max, [1.0, nan, 3.0]), (nan, [0.0, 1.0, 0.0]))
    np.testing.assert_equal(gradients(extrema.amin, [[nan, nan]]), (nan, [[0.5, 0.5]]))
    values, indices = extrema.min(tensor([1.0, nan, 0.0]), 0)
    assert np.isnan(values.item())
    assert indices.item() == 1


def test_argmax():
    x = tensor([[1, 5, 5], [7, 0, 7]])
    assert extrema.argmax(x).item() == 3
    assert extrema.argmin(x).item() == 4
    assert extrema.argmax(x, keepdim=True).tolist() == [[3]]
    assert extrema.argmax(x, dim=-1).tolist() == [1, 0]
    assert extrema.argmin(x, dim=0, keepdim=True).tolist() == [[0, 1, 0]]
    assert extrema.argmax(x).dtype == extrema.argmin(tensor([0.5]), 0).dtype == np.int64
    assert extrema.argmax(tensor(2.0), 0).tolist() == 0
    assert extrema.argmax(tensor([[4.0]]), 0).shape == (1,)
    assert not extrema.argmax(tensor([1.0, 2.0], requires_grad=True)).requires_grad


def test_all_and_any():
    x = tensor([[True, False], [True, True]])
    assert extrema.all(x).item() is False
    assert extrema.any(x).item() is True
    assert extrema.all(x, dim=0).tolist() == [True, False]
    assert extrema.all(tensor([[1.0, 2.0], [0.0, 3.0]]), dim=1, keepdim=True).tolist() == [[True], [False]]


def test_dims():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert reduce.sum(x, ()).item() == 276
    assert reduce.sum(x, dim=[0, -1], keepdim=True).shape == (1, 3, 1)
    assert reduce.mean(x, -2).shape == (2, 4)
    assert reduce.sum(tensor(3.0), 0).item() == reduce.cumsum(tensor(3.0), -1).item() == 3.0
    assert reduce.prod(x, (0, 2), keepdim=True).shape == (1, 3, 1)
    with pytest.raises(IndexError, match=r"sum: dim 3 is out of range for a 3-d tensor \(expected -3 to 2\)"):
        reduce.sum(x, 3)
    with pytest.raises(ValueError, match=r"mean: dim \(0, -3\) names the same dim twice"):
        reduce.mean(x, (0, -3))
    with pytest.raises(TypeError, match=r"cumsum: dim must be an int, not None"):
        reduce.cumsum(x, None)
    with pytest.raises(TypeError, match=r"var: dim must be an int, not 1\.5"):
        reduce.var(x, 1.5)


def test_integer_mean_says_what_to_do():
    with pytest.raises(TypeError, match=r"mean: needs a floating-point tensor, got int64 of shape \(2,\)"):
        reduce.mean(tensor([1, 2]))


def test_infinities_that_cancel_are_silent():
    x = tensor([inf, -inf])
    for fn in (reduce.sum, reduce.mean, reduce.var, reduce.std):
        assert np.isnan(fn(x).item())
    np.testing.assert_equal(reduce.cumsum(x, 0).tolist(), [inf, nan])


def test_a_long_running_sum_of_float32_stays_exact():
    x = np.full(1_000_000, 0.1, np.float32)
    expected = np.cumsum(x.astype(np.float64))
    np.testing.assert_allclose(reduce.cumsum(Tensor(x), 0).data, expected, rtol=1e-7)
