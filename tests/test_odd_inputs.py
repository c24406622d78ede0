"""Odd inputs: shapes around the sizes of tiles, numbers at both ends of the range, infinities, NaN, rows of −∞.

What must hold: results are the reference's (in float64, where float32 does not overflow), a NaN goes out as NaN and
never as a number, and where a result is not defined it is NaN as in PyTorch. Compiled or not makes no difference.

Where ours differs from PyTorch 2.13 on the CPU, which was asked for each row of `ROWS`:

    gelu(∞)   ∞; there NaN
    norms whose squares overflow (|x| > 1e19 in float32)   NaN or the bias; there the bias, and 0

Attention has a file of its own: test_odd_attention.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from dirty_memory import plain_python
from odd_checks import DTYPES, close, run

from tinygrad_llm import functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.activations import relu_ref, sigmoid_ref, silu_ref
from tinygrad_llm.ops.cross_entropy import cross_entropy_ref
from tinygrad_llm.ops.gelu import erf, erf_ref, gelu_ref, gelu_tanh_ref
from tinygrad_llm.ops.int8_linear import int8_linear_ref, quantize_rows
from tinygrad_llm.ops.layer_norm import layer_norm_ref
from tinygrad_llm.ops.matmul import matmul_backend
from tinygrad_llm.ops.rms_norm import rms_norm_ref
from tinygrad_llm.ops.rope import rotary_embedding_ref
from tinygrad_llm.ops.softmax import log_softmax_ref, softmax_ref

V = 19
BASE = np.random.default_rng(0).standard_normal(V)
PLACE = np.arange(V)
ROWS = {
    "usual": BASE,
    "1e4": 1e4 * BASE,
    "zeros": np.zeros(V),
    "minus zeros": -np.zeros(V),
    "near 87, where exp ends": 87 + BASE,
    "denormals": 1e-42 * BASE,
    "one huge": np.where(PLACE == 5, 1e4, BASE),
    "1e30": 1e30 * BASE,
    "all largest": np.full(V, np.finfo(np.float32).max),
    "both largest": np.where(BASE > 0, 1, -1) * np.finfo(np.float32).max,
    "all inf": np.full(V, np.inf),
    "all -inf": np.full(V, -np.inf),
    "one inf": np.where(PLACE == 3, np.inf, BASE),
    "one -inf": np.where(PLACE == 3, -np.inf, BASE),
    "nan last": np.where(PLACE == V - 1, np.nan, BASE),
    "nan among -inf": np.where(PLACE == 0, np.nan, -np.inf),
    "all nan": np.full(V, np.nan),
}
OVERFLOWING = [name for name in ROWS if name in ("1e30", "all largest", "both largest") or "inf" in name]
WEIGHT, BIAS = np.linspace(0.5, 2, V), np.linspace(-1, 1, V)


def same_weight(function, *arrays):
    """`function` of x and constants in x's dtype."""
    return lambda x: function(x, V, *(Tensor(array.astype(x.dtype)) for array in arrays))


ROW_OPS = {  # name: the op, and its reference
    "softmax": (F.softmax, softmax_ref),
    "log_softmax": (F.log_softmax, log_softmax_ref),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, Tensor(np.full(len(x.data), 3)), reduction="none"),
        lambda x: -log_softmax_ref(x)[:, 3],
    ),
}
NORMS = {
    "layer_norm": (same_weight(F.layer_norm, WEIGHT, BIAS), lambda x: layer_norm_ref(x, (V,), WEIGHT, BIAS)),
    "rms_norm": (same_weight(F.rms_norm, WEIGHT), lambda x: rms_norm_ref(x, (V,), WEIGHT)),
}
ELEMENTWISE = {
    "relu": (F.relu, relu_ref),
    "leaky_relu": (F.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "sigmoid": (F.sigmoid, sigmoid_ref),
    "silu": (F.silu, silu_ref),
    "gelu": (F.gelu, gelu_ref),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"), gelu_tanh_ref),
    "erf": (erf, erf_ref),
}
ALL = ROW_OPS | NORMS | ELEMENTWISE


@pytest.fixture(autouse=True)
def _numpy_may_overflow():
    """The references do, on purpose."""
    with np.errstate(all="ignore"):
        yield


def rows(dtype: str, without: list[str] | tuple[str, ...] = ()) -> tuple[list[str], np.ndarray]:
    """Names, and the rows (R, V)."""
    names = [name for name in ROWS if name not in without]
    return names, np.array([ROWS[name] for name in names]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_rows_of_odd_numbers(name, dtype):
    op, reference = ALL[name]
    names, x = rows(dtype, OVERFLOWING if name in NORMS else ())
    got, expected = op(Tensor(x)).data, reference(x.astype(float))
    for row, ours, reference_row in zip(names, got, expected, strict=True):
        close(ours, reference_row, dtype, row)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_compiled_and_plain_agree_on_them(name, dtype):
    op, (_, x) = ALL[name][0], rows(dtype, OVERFLOWING if name in NORMS else ())
    compiled = run(op, x)
    with plain_python():
        plain = run(op, x)
    for ours, expected in zip(compiled, plain, strict=True):
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)
        close(ours / largest, expected / largest, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_nan_goes_out_as_nan_and_reaches_no_other_row(name, dtype):
    """Elementwise ops: no other element. Gradients of what is NaN are NaN."""
    op, x = ALL[name][0], np.tile(BASE, (3, 1)).astype(dtype)
    clean = run(op, x)
    x[1, 7] = np.nan
    for got, expected in zip(run(op, x), clean, strict=True):
        hit = (1, 7) if name in ELEMENTWISE else (1,)
        assert np.isnan(got[hit]).all()
        got[hit] = expected[hit]
        np.testing.assert_array_equal(got, expected)
        if name in ("relu", "leaky_relu"):
            break  # their slopes are numbers whatever x is, as in PyTorch


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_what_overflows_are_no_plausible_numbers(name):
    names, x = rows("float32", [row for row in ROWS if row not in OVERFLOWING])
    out = ALL[name][0](Tensor(x)).data
    for row, ours in zip(names, out, strict=True):
        nothing = BIAS.astype("float32") if name == "layer_norm" else 0
        assert (np.isnan(ours) | (ours == nothing)).all(), row


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_with_label_smoothing_of_odd_rows(dtype):
    names, x = rows(dtype, [row for row in ROWS if "inf" in row])
    target = PLACE[: len(x)]
    got = F.cross_entropy(Tensor(x), Tensor(target), reduction="none", label_smoothing=0.1).data
    expected = cross_entropy_ref(x.astype(float), target, reduction="none", label_smoothing=0.1)
    for row, ours, loss in zip(names, got, expected, strict=True):
        close(ours, loss, dtype, row)


SIDES = (0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65)
AROUND_TILES = [(m, k, n) for i, m in enumerate(SIDES) for k, n in ((SIDES[-i], SIDES[i - 5]), (SIDES[i - 3], 129))]
AROUND_TILES += [(129, 511, 3), (127, 513, 65), (128, 512, 64), (1, 1031, 257), (23, 5, 131), (25, 64, 1025)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_shapes_around_the_tiles(dtype):
    """Forward and both gradients of x Wᵀ + b, which are products of all three layouts."""
    rng = np.random.default_rng(0)
    for m, k, n in AROUND_TILES:
        x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (n, k), (n,)))
        with matmul_backend("kernel"):
            got = run(F.linear, x, weight, bias)
        dout = np.cos(np.arange(m * n, dtype=float)).reshape(m, n)
        expected = [x.astype(float) @ weight.T + bias, dout @ weight, dout.T @ x, dout.sum(axis=0)]
        for ours, reference in zip(got, expected, strict=True):
            scale = np.abs(reference).max(initial=1)
            close(ours / scale, reference / scale, dtype, f"{m} x {k} x {n}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_odd_number_in_a_product(odd, dtype):
    """It reaches its row, or its column, and nothing else; inf · 0 is NaN."""
    for m in (1, 5, 70):  # thin and thick
        x, weight = np.ones((m, 67), dtype), np.ones((66, 67), dtype)
        x[m // 2, 5] = odd
        weight[3, 5] = 0
        with matmul_backend("kernel"):
            out = F.linear(Tensor(x), Tensor(weight)).data
        expected = np.tile(weight.sum(axis=1), (m, 1))
        expected[m // 2] = odd
        expected[m // 2, 3] = np.nan
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROW_OPS | NORMS)
def test_rows_of_any_length(name, dtype):
    rng = np.random.default_rng(0)
    weight, bias = (lambda n: np.linspace(0.5, 2, n)), (lambda n: np.linspace(-1, 1, n))
    for n_rows, length in ((1, 1), (3, 2), (2, 7), (1, 8), (5, 9), (17, 15), (16, 16), (3, 17), (2, 257), (1, 1031)):
        x = rng.standard_normal((n_rows, length)).astype(dtype)
        w, b = (each(length).astype(dtype) for each in (weight, bias))
        target = np.arange(n_rows) % length
        calls = {
            "softmax": (F.softmax(Tensor(x)), softmax_ref(x)),
            "log_softmax": (F.log_softmax(Tensor(x)), log_softmax_ref(x)),
            "cross_entropy": (F.cross_entropy(Tensor(x), Tensor(target)), cross_entropy_ref(x, target)),
            "layer_norm": (F.layer_norm(Tensor(x), length, Tensor(w), Tensor(b)), layer_norm_ref(x, (length,), w, b)),
            "rms_norm": (F.rms_norm(Tensor(x), length, Tensor(w)), rms_norm_ref(x, (length,), w)),
        }
        out, expected = calls[name]
        close(out.data, expected, dtype, f"{n_rows} x {length}")


def test_int8_products_around_the_tiles():
    rng = np.random.default_rng(0)
    for m, k, n in AROUND_TILES:
        x, (weight, scale) = rng.standard_normal((m, k)).astype("float32"), quantize_rows(rng.standard_normal((n, k)))
        out = F.int8_linear(Tensor(x), Tensor(weight), Tensor(scale)).data
        expected = int8_linear_ref(x.astype(float), weight, scale)
        scale_of_it = np.abs(expected).max(initial=1)
        close(out / scale_of_it, expected / scale_of_it, "float32", f"{m} x {k} x {n}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_tables_around_the_blocks(dtype):
    rng = np.random.default_rng(0)
    for n, size, width in ((0, 3, 5), (1, 1, 1), (7, 3, 63), (7, 3, 64), (131, 5, 65), (3, 17, 129)):
        weight, ids = rng.standard_normal((size, width)).astype(dtype), rng.integers(0, size, n)
        out, gradient = run(lambda w, ids=ids: F.embedding(Tensor(ids), w), weight)
        np.testing.assert_array_equal(out, weight[ids])
        expected = np.zeros((size, width))
        np.add.at(expected, ids, np.cos(np.arange(n * width, dtype=float)).reshape(n, width))
        close(gradient, expected, dtype, f"{n}, {size}, {width}")
    weight[1, 2], ids = np.nan, np.array([0, 1])
    assert np.isnan(F.embedding(Tensor(ids), Tensor(weight)).data).sum() == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotations_of_any_size_and_of_nan(dtype):
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 1, 2), (2, 3, 1, 2), (1, 17, 3, 34), (0, 3, 2, 4), (2, 1, 5, 6)):
        angles = rng.standard_normal((shape[1], shape[3] // 2))
        x = rng.standard_normal(shape).astype(dtype)
        out = F.rotary_embedding(Tensor(x), np.cos(angles), np.sin(angles)).data
        close(out, rotary_embedding_ref(x, np.cos(angles), np.sin(angles)), dtype, str(shape))
    x[0, 0, 2, 1] = np.nan
    out = F.rotary_embedding(Tensor(x), np.cos(angles), np.sin(angles)).data
    assert np.argwhere(np.isnan(out)).tolist() == [[0, 0, 2, 1], [0, 0, 2, 4]]
