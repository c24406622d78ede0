"""Arithmetic, functions of one number, comparisons and masking where PyTorch's rules are special.

Expected values are what PyTorch 2.13 gives; RuntimeWarnings are errors in these tests.
"""

from math import inf, nan

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor, detect_anomaly, tensor
from tinygrad_llm.ops import arithmetic, compare, elementwise, gelu, masking

DTYPES = {"b": "bool", "u8": "uint8", "i8": "int8", "i16": "int16", "i64": "int64", "f32": "float32", "f64": "float64"}

# The dtype of a + b. Rows: a, a 1-d tensor. Columns: b, a 1-d tensor, a 0-d tensor ("0d"), a Python number.
PROMOTION = """
        b   u8   i8  i64  f32  f64  0d.b 0d.u8 0d.i8 0d.i64 0d.f32 0d.f64 True   2   2.5
  b     b   u8   i8  i64  f32  f64    b    u8    i8    i64    f32    f64    b  i64   f32
 u8    u8   u8  i16  i64  f32  f64   u8    u8    u8     u8    f32    f64   u8   u8   f32
 i8    i8  i16   i8  i64  f32  f64   i8    i8    i8     i8    f32    f64   i8   i8   f32
i64   i64  i64  i64  i64  f32  f64  i64   i64   i64    i64    f32    f64  i64  i64   f32
f32   f32  f32  f32  f32  f32  f64  f32   f32   f32    f32    f32    f32  f32  f32   f32
f64   f64  f64  f64  f64  f64  f64  f64   f64   f64    f64    f64    f64  f64  f64   f64
"""

# The dtype of f(x), "-" where it raises. Columns: x's dtype.
UNARY = """
                b   u8   i8  i64  f32  f64
exp           f32  f32  f32  f32  f32  f64
log           f32  f32  f32  f32  f32  f64
log1p         f32  f32  f32  f32  f32  f64
sqrt          f32  f32  f32  f32  f32  f64
rsqrt         f32  f32  f32  f32  f32  f64
square        i64   u8   i8  i64  f32  f64
reciprocal    f32  f32  f32  f32  f32  f64
abs             -   u8   i8  i64  f32  f64
sin           f32  f32  f32  f32  f32  f64
cos           f32  f32  f32  f32  f32  f64
tanh          f32  f32  f32  f32  f32  f64
erf           f32  f32  f32  f32  f32  f64
neg             -   u8   i8  i64  f32  f64
clamp_int     i64   u8   i8  i64  f32  f64
clamp_float   f32  f32  f32  f32  f32  f64
tril            b   u8   i8  i64  f32  f64
masked_fill     b   u8   i8  i64  f32  f64
"""

SPECIAL = {
    "clamp_int": lambda x: compare.clamp(x, 0),
    "clamp_float": lambda x: compare.clamp(x, 0.5),
    "tril": lambda x: masking.tril(Tensor(x.data.reshape(1, -1))),
    "masked_fill": lambda x: masking.masked_fill(x, tensor([True, False]), 1),
    "neg": arithmetic.neg,
    "erf": gelu.erf,
}


def rows(table):
    """(row name, column name, entry) for each entry of a table."""
    header, *lines = (line.split() for line in table.strip().splitlines())
    return [(name, column, entry) for name, *entries in lines for column, entry in zip(header, entries, strict=True)]


def operand(name):
    if name in ("True", "2", "2.5"):
        return {"True": True, "2": 2, "2.5": 2.5}[name]
    return Tensor(np.ones(() if name.startswith("0d.") else 2, DTYPES[name.removeprefix("0d.")]))


def choose(x, y):
    return masking.where(tensor([True, False]), x, y)


def gradients(fn, *values):
    """fn's values, and the gradients of their sum, for float64 inputs."""
    xs = [tensor(v, dtype="float64", requires_grad=True) for v in values]
    out = fn(*xs)
    out.backward(np.ones(out.shape))
    return out.tolist(), *(x.grad.tolist() for x in xs)


def same(got, expected):
    np.testing.assert_equal(got, expected)


@pytest.mark.parametrize(("a", "b", "expected"), rows(PROMOTION))
def test_promotion(a, b, expected):
    expected = DTYPES[expected]
    x, y = operand(a), operand(b)
    for op in (arithmetic.add, arithmetic.mul, compare.maximum, choose):
        assert op(x, y).dtype == expected
        assert op(y, x).dtype == expected
    assert arithmetic.div(x, y).dtype == (expected if expected.startswith("float") else "float32")
    if a == "b" or b in ("b", "0d.b", "True"):
        with pytest.raises(TypeError, match=r"sub: not defined for bool"):
            arithmetic.sub(x, y)
    else:
        assert arithmetic.sub(x, y).dtype == expected
    if expected == "bool":
        with pytest.raises(TypeError, match=r"pow: base and exponent are both bool"):
            arithmetic.pow(x, y)
    else:
        assert arithmetic.pow(x, y).dtype == expected


@pytest.mark.parametrize(("name", "dtype", "expected"), rows(UNARY))
def test_dtype_of_unary_functions(name, dtype, expected):
    fn = SPECIAL.get(name) or getattr(elementwise, name)
    if expected == "-":
        with pytest.raises(TypeError, match=name):
            fn(operand(dtype))
    else:
        assert fn(operand(dtype)).dtype == DTYPES[expected]
        assert fn(operand(f"0d.{dtype}")).dtype == DTYPES[expected]


def test_gradients_return_to_the_dtype_of_their_input():
    x, y = tensor([1.5], requires_grad=True), tensor([2.0], dtype="float64", requires_grad=True)
    arithmetic.mul(x, y).backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert (x.grad.item(), y.grad.item()) == (2.0, 1.5)


def test_pow_at_zero_and_below():
    out, dx, dy = gradients(arithmetic.pow, [-2.0, 0.0, 0.0, 0.0, 2.0], [3.0, 0.0, 2.0, -1.0, 0.0])
    same(out, [-8.0, 1.0, 0.0, inf, 1.0])
    same(dx, [12.0, 0.0, 0.0, -inf, 0.0])
    np.testing.assert_allclose(dy, [nan, 0.0, 0.0, -inf, np.log(2)])
    same(gradients(lambda x: arithmetic.pow(x, 0), [0.0, -1.0]), ([1.0, 1.0], [0.0, 0.0]))
    same(gradients(lambda x: arithmetic.pow(x, 3), [-2.0]), ([-8.0], [12.0]))
    same(gradients(lambda x: arithmetic.pow(x, 0.5), [0.0, -1.0]), ([0.0, nan], [inf, nan]))
    same(gradients(lambda x: arithmetic.pow(0, x), [0.0, 1.0, -1.0]), ([1.0, 0.0, inf], [0.0, 0.0, -inf]))


def test_pow_of_integers():
    assert arithmetic.pow(tensor([2, 3]), 2).tolist() == [4, 9]
    assert arithmetic.pow(2, tensor([3, 0])).tolist() == [8, 1]
    with pytest.raises(ValueError, match=r"pow: integers to negative powers .* x\.float\(\)"):
        arithmetic.pow(tensor([2]), -1)


def test_division_by_zero_is_silent():
    same(arithmetic.div(tensor([1.0, -1.0, 0.0]), 0).tolist(), [inf, -inf, nan])
    same(arithmetic.div(tensor([1, 3]), 2).tolist(), [0.5, 1.5])
    same(gradients(lambda x: arithmetic.div(x, 0), [1.0])[1], [inf])


def test_outside_the_domain_is_silent():
    same(gradients(elementwise.log, [0.0, -1.0]), ([-inf, nan], [inf, -1.0]))
    same(gradients(elementwise.log1p, [-1.0]), ([-inf], [inf]))
    same(gradients(elementwise.sqrt, [0.0, -1.0]), ([0.0, nan], [inf, nan]))
    same(gradients(elementwise.rsqrt, [0.0]), ([inf], [-inf]))
    same(gradients(elementwise.reciprocal, [0.0]), ([inf], [-inf]))
    same(elementwise.exp(tensor([100.0, -inf])).tolist(), [inf, 0.0])
    same(elementwise.square(tensor([1e30])).tolist(), [inf])
    same(elementwise.sin(tensor([inf])).tolist(), [nan])
    same(arithmetic.sub(tensor([inf]), inf).tolist(), [nan])
    same(arithmetic.mul(tensor([inf]), 0).tolist(), [nan])
    same(arithmetic.add(tensor([3e38]), 3e38).tolist(), [inf])


def test_abs_has_slope_zero_at_zero():
    same(gradients(elementwise.abs, [0.0, -1.0, 2.0]), ([0.0, 1.0, 2.0], [0.0, -1.0, 1.0]))


def test_maximum_and_minimum_halve_the_gradient_of_ties_and_pass_nan_on():
    x, y = [1.0, 2.0, nan, 5.0], [1.0, 3.0, 1.0, 4.0]
    same(gradients(compare.maximum, x, y), ([1.0, 3.0, nan, 5.0], [0.5, 0.0, 1.0, 1.0], [0.5, 1.0, 1.0, 0.0]))
    same(gradients(compare.minimum, x, y), ([1.0, 2.0, nan, 4.0], [0.5, 1.0, 1.0, 0.0], [0.5, 0.0, 1.0, 1.0]))


def test_clamp_includes_its_bounds():
    out, dx = gradients(lambda x: compare.clamp(x, 0, 1), [0.0, 1.0, -1.0, 2.0, nan])
    same(out, [0.0, 1.0, 0.0, 1.0, nan])
    same(dx, [1.0, 1.0, 0.0, 0.0, 0.0])
    same(gradients(lambda x: compare.clamp(x, min=1), [1.0, 0.0])[1], [1.0, 0.0])
    assert compare.clamp(tensor([1.0, 5.0]), 3, 1).tolist() == [1.0, 1.0]


def test_clamp_errors():
    with pytest.raises(ValueError, match=r"clamp: at least one of min and max"):
        compare.clamp(tensor([1.0]))
    with pytest.raises(TypeError, match=r"clamp: min and max must be numbers, not Tensor; use maximum\(\)"):
        compare.clamp(tensor([1.0]), min=tensor([0.0]))


def test_comparisons():
    x, y = tensor([[1.0], [nan]], requires_grad=True), tensor([0, 1, 2])
    for name, expected in {
        "eq": [[False, True, False], [False] * 3],
        "ne": [[True, False, True], [True] * 3],
        "lt": [[False, False, True], [False] * 3],
        "le": [[False, True, True], [False] * 3],
        "gt": [[True, False, False], [False] * 3],
        "ge": [[True, True, False], [False] * 3],
    }.items():
        out = getattr(compare, name)(x, y)
        assert out.tolist() == expected
        assert (out.dtype, out.requires_grad) == (np.bool_, False)
    assert compare.lt(tensor([0, 1]), 0.5).tolist() == [True, False]
    assert compare.eq(tensor([True, False]), tensor([1.0, 1.0])).tolist() == [True, False]


def test_where_takes_no_gradient_from_what_it_leaves_out():
    x = tensor([0.0, 4.0], requires_grad=True)
    masking.where(tensor([True, False]), x, tensor([nan, inf])).backward(np.ones(2))
    assert x.grad.tolist() == [1.0, 0.0]
    assert masking.where(tensor([True, False]), 1, 2).tolist() == [1, 2]
    assert masking.where(tensor(True), tensor([1, 2]), 3).tolist() == [1, 2]
    assert masking.where(np.zeros((2, 0), bool), tensor([[1.0], [2.0]]), 0).shape == (2, 0)


def test_masked_fill():
    x = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with detect_anomaly():  # -inf is what was asked for
        out = masking.masked_fill(x, tensor([False, True]), -inf)
    assert out.tolist() == [[1.0, -inf], [3.0, -inf]]
    out.backward(np.ones((2, 2)))
    assert x.grad.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert masking.masked_fill(tensor([1, 2]), tensor([True, False]), 0.5).tolist() == [0, 2]
    value = tensor(7.0, dtype="float64", requires_grad=True)
    out = masking.masked_fill(tensor([1.0, 2.0, 3.0]), tensor([True, False, True]), value)
    assert (out.tolist(), out.dtype) == ([7.0, 2.0, 7.0], np.float32)
    out.backward(np.ones(3))
    assert value.grad.item() == 2.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: arithmetic.add(x, tensor([1.0, 2.0])),
            ValueError,
            r"add: shapes \(2, 3\) and \(2,\) do not broadcast",
        ),
        (lambda x: arithmetic.mul(x, "2"), TypeError, r"mul: expected a Tensor, an array or a number, not str"),
        (lambda x: masking.where(x, x, x), TypeError, r"where: condition must be a bool tensor, not float32"),
        (
            lambda x: masking.where(tensor([True] * 4), x, x),
            ValueError,
            r"where: shapes \(4,\) and \(2, 3\) and \(2, 3\) do not broadcast",
        ),
        (lambda x: masking.masked_fill(x, tensor([1, 0, 1]), 0), TypeError, r"masked_fill: mask must be a bool tensor"),
        (
            lambda x: masking.masked_fill(x, compare.gt(x, 2), x),
            ValueError,
            r"masked_fill: value must be a number or a 0-d tensor, not \(2, 3\)",
        ),
        (
            lambda x: masking.masked_fill(tensor([1]), tensor([True]), -inf),
            ValueError,
            r"masked_fill: -inf is no int64; call \.float\(\)",
        ),
        (
            lambda x: masking.masked_fill(x, tensor([True, True]), 0),
            ValueError,
            r"masked_fill: shapes \(2, 3\) and \(2,\) do not broadcast",
        ),
        (
            lambda x: masking.tril(tensor([1.0])),
            ValueError,
            r"tril: needs a tensor of at least 2 dims, got shape \(1,\)",
        ),
        (lambda x: masking.triu(tensor(1.0)), ValueError, r"triu: needs a tensor of at least 2 dims, got shape \(\)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


def test_triangles_of_masks_and_of_infinite_scores():
    assert masking.tril(tensor([[True, True], [True, True]])).tolist() == [[True, False], [True, True]]
    assert masking.triu(tensor([[1.0, inf], [-inf, nan]]), 1).tolist() == [[0.0, inf], [0.0, 0.0]]


def test_detect_anomaly_names_the_op():
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"^Log: made the first Inf .*test_elementwise"):
        elementwise.log(tensor([0.0]))


def test_float32_erf_is_exact_to_rounding():
    x = np.concatenate([np.linspace(-5, 5, 20001), [1e-30, -1e-6]]).astype(np.float32)
    expected = gelu.erf_ref(x.astype(np.float64))
    np.testing.assert_allclose(gelu.erf(Tensor(x)).data, expected, rtol=3e-7)
    same(gelu.erf(tensor([inf, -inf, nan, 0.0])).tolist(), [1.0, -1.0, nan, 0.0])
