"""The matrix kernels in plain Python with tiles of a few numbers, so that small products reach every edge and loop.

Whole numbers, so that each result must be exact in whatever order it is summed.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm.ops import matmul, matmul_kernels, matmul_layout, thin_matmul_kernels
from tinygrad_llm.ops.matmul_kernels import BLOCK, DEPTH, PANELS_SIZE, ROWS, columns_at_once, padded_depth
from tinygrad_llm.ops.matmul_layout import MAX_LEFT, NARROW, WIDTH, n_left_columns, n_panel_columns, panel_width

SMALL = {
    "WIDTH": 16, "NARROW": 8, "SLICE": 8, "CHUNK": 8, "PAD": 8, "MAX_LEFT": 2, "ROWS": 8, "DEPTH": 16, "BLOCK": 16,
    "PANELS_SIZE": 512, "COLUMNS": 12,
}  # fmt: skip
# (M, K, N): one panel, narrow and wide; columns left over, on their own too; several panels, pieces of K and of N.
SHAPES = [
    (1, 1, 1), (4, 4, 8), (5, 3, 2), (9, 4, 16), (13, 5, 9), (8, 16, 10), (9, 17, 11), (3, 20, 18), (17, 13, 24),
    (21, 33, 26), (10, 12, 33), (33, 18, 34), (2, 8, 35), (7, 37, 50), (18, 3, 70), (4, 28, 68), (5, 16, 32),
]  # fmt: skip
LAYOUTS = list(product((False, True), repeat=2))


@pytest.fixture
def plain():
    """Without compiling what is called once."""
    with plain_python():
        yield


@pytest.fixture
def small_tiles(monkeypatch, plain):
    for module in (matmul, matmul_kernels, matmul_layout, thin_matmul_kernels):
        for name in SMALL.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, SMALL[name])


def whole_numbers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(float)


def operands(M, K, N, transpose_a, transpose_b, batch=()):
    """Two matrices, and both as they are stored."""
    a, b = whole_numbers(*batch, M, K), whole_numbers(*batch, K, N, seed=1)
    stored = [x.swapaxes(-1, -2).copy() if t else x for x, t in ((a, transpose_a), (b, transpose_b))]
    return a, b, *stored


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_and_layout(small_tiles, shape, layout):
    a, b, *stored = operands(*shape, *layout)
    bias, none = whole_numbers(shape[2], seed=2), np.empty(0)
    out = np.full((shape[0], shape[2]), np.nan)
    for block_rows in (8, 16):
        matmul_kernels.matmul_kernel(out, *stored, none, *layout, False, block_rows)
        np.testing.assert_array_equal(out, a @ b)
    matmul_kernels.matmul_kernel(out, *stored, bias, *layout, True, 8)
    np.testing.assert_array_equal(out, 2 * (a @ b) + bias)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4, 2), (5, 16, 10), (9, 20, 34), (17, 13, 24), (33, 18, 35)])
def test_batches_of_every_layout(small_tiles, shape, layout):
    a, b, *stored = operands(*shape, *layout, batch=(3,))
    out = np.full((3, shape[0], shape[2]), np.nan)
    matmul_kernels.batched_matmul_kernel(out, *stored, *layout)
    np.testing.assert_array_equal(out, a @ b)


@pytest.mark.parametrize("limit", [0, 10**9])
@pytest.mark.parametrize("transposed", [False, True])
def test_thin_products(small_tiles, monkeypatch, transposed, limit):
    """More and fewer rows and columns than a tile of 4, and blocks whose last is no whole one."""
    monkeypatch.setattr(thin_matmul_kernels, "FEW", limit)
    names = "thin_matmul_transposed_kernel" if transposed else "thin_matmul_kernel"
    thin = getattr(thin_matmul_kernels, names)
    for M, K, N in ((1, 5, 12), (3, 1, 13), (4, 3, 9), (5, 4, 3), (9, 6, 31), (7, 2, 24)):
        a, b, *stored = operands(M, K, N, False, transposed)
        bias, none, out = whole_numbers(N, seed=2), np.empty(0), np.full((M, N), np.nan)
        thin(out, *stored, none, False)
        np.testing.assert_array_equal(out, a @ b)
        thin(out, *stored, bias, True)
        np.testing.assert_array_equal(out, 2 * (a @ b) + bias)
        thin(out, *stored, bias, False)
        np.testing.assert_array_equal(out, a @ b + bias)
        thin(out, *stored, none, True)
        np.testing.assert_array_equal(out, 2 * (a @ b) + bias)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", [0, 1])
def test_infinity_meets_no_padding(small_tiles, layout, which):
    """Where K is no multiple of 4, both operands are padded with zeros, and 0 · ∞ would be NaN."""
    for K, N in ((5, 10), (18, 18), (35, 40)):  # whole panels: those of columns would meet it, unread
        _, _, *stored = operands(8, K, N, *layout)
        stored[which][...], stored[1 - which][...] = np.inf, 1
        out = np.empty((8, N))
        matmul_kernels.matmul_kernel(out, *stored, np.empty(0), *layout, False, 8)
        assert np.all(out == np.inf)


def test_blocks_are_padded_with_rows_of_zeros(plain):
    """Their products are never stored, but what memory happens to hold may overflow, or be slow to multiply."""
    depth, a = 8, whole_numbers(5, 9)
    block = np.empty(8 * (depth + matmul_layout.PAD))
    matmul_layout.copy_rows(block, a, 0, 5, 1, depth)
    rows = block.reshape(8, -1)
    np.testing.assert_array_equal(rows[:5, :depth], a[:, 1:])
    assert not rows[5:].any()
    for k0 in (0, 3):
        block = np.empty(block.size)
        matmul_layout.copy_rows_transposed(block, a.T.copy(), 0, 5, k0, depth)
        quads, rest = block[: 8 * depth].reshape(-1, 8, 4), a[:, k0 : k0 + depth]
        copied = quads[:, :5].transpose(1, 0, 2).reshape(5, -1)
        np.testing.assert_array_equal(copied, np.pad(rest, [(0, 0), (0, depth - rest.shape[1])]))
        assert not quads[:, 5:].any()


def test_columns_are_panels_or_left_over(plain):
    assert [n_left_columns(N) for N in (1, MAX_LEFT, NARROW, NARROW + 1, NARROW + MAX_LEFT)] == [0, 0, 0, 1, MAX_LEFT]
    assert n_left_columns(NARROW + MAX_LEFT + 1) == 0
    assert [n_panel_columns(N) for N in (1, NARROW, NARROW + MAX_LEFT, WIDTH - 1, WIDTH)] == [
        NARROW, NARROW, NARROW, WIDTH, WIDTH,
    ]  # fmt: skip
    assert [panel_width(WIDTH + NARROW, j) for j in (0, NARROW, WIDTH)] == [WIDTH, WIDTH, NARROW]


def test_pieces_fit_the_caches_they_are_made_for(plain):
    """Not more than PANELS_SIZE elements of B at once, in whole panels, and not fewer than would fit."""
    assert [padded_depth(rest) for rest in (1, 4, 5, DEPTH - 1, DEPTH, DEPTH + 1)] == [4, 4, 8, DEPTH, DEPTH, DEPTH]
    for depth in (4, 12, 500, DEPTH):
        assert PANELS_SIZE - WIDTH * depth < columns_at_once(depth) * depth <= PANELS_SIZE
        assert columns_at_once(depth) % WIDTH == 0
    assert columns_at_once(PANELS_SIZE) == WIDTH


def test_rows_are_shared_out_in_eight_blocks_of_whole_tiles():
    blocks = {1: ROWS, 8 * ROWS: ROWS, 8 * ROWS + 1: 2 * ROWS, 16 * ROWS: 2 * ROWS, 10**6: BLOCK}
    assert {M: matmul._block_rows(M) for M in blocks} == blocks


def test_a_larger_matrix_takes_more_rows_to_repay_its_copy():
    limits = {1: 24, 24 * 2048: 24, 25 * 2048 - 1: 24, 25 * 2048: 25, 100 * 2048: 100, 10**9: 128}
    assert {size: matmul._thin_transposed(size) for size in limits} == limits


@pytest.fixture
def calls(monkeypatch):
    """Which kernel was called, with the flags for transposed operands, instead of what it does."""
    found = []

    def instead_of(name):
        return lambda *arguments: found.append((name, *(x for x in arguments if isinstance(x, bool))))

    for name in ("matmul_kernel", "thin_matmul_kernel", "thin_matmul_transposed_kernel", "batched_matmul_kernel"):
        monkeypatch.setattr(matmul, name, instead_of(name))
    return found


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernel_is_for_float32_unless_someone_is_named(monkeypatch, jit, dtype):
    monkeypatch.setattr(matmul, "jit_enabled", lambda: jit)
    for backend, expected in (("kernel", True), ("blas", False), ("auto", jit and dtype == "float32")):
        with matmul.matmul_backend(backend):
            assert matmul.use_kernel(np.dtype(dtype)) == expected


def test_each_product_goes_to_its_kernel(calls):
    """By rows: a transposed B is worth its copy later than another."""
    a, b, other = np.ones((24, 6)), np.ones((6, 10)), np.ones((24, 12))[:, ::2]
    few = matmul.THIN - 1
    with matmul.matmul_backend("kernel"):
        for x, y in ((a[:few], b), (a[: few + 1], b), (a[:23], b.T.copy().T), (a, b.T.copy().T), (a.T.copy().T, b),
                     (other, b), (a, np.ones((6, 20))[:, ::2])):  # fmt: skip
            matmul.multiply(x, y)
        matmul.multiply(a, b, out=np.zeros((24, 10)), accumulate=True)
    plain, thin = "matmul_kernel", "thin_matmul_kernel"
    assert calls == [
        (thin, False), (plain, False, False, False), ("thin_matmul_transposed_kernel", False),
        (plain, False, True, False), (plain, True, False, False), (plain, False, False, False),
        (plain, False, False, False), (plain, False, False, True),
    ]  # fmt: skip


def test_batches_go_to_their_kernel_by_name_alone(calls):
    a, b = np.ones((2, 3, 4)), np.ones((2, 4, 5))
    for backend in ("auto", "blas", "kernel"):
        with matmul.matmul_backend(backend):
            matmul.multiply_batch(a, b)
    with matmul.matmul_backend("kernel"):
        matmul.multiply_batch(a, b.swapaxes(1, 2).copy().swapaxes(1, 2))
        matmul.multiply_batch(a.swapaxes(1, 2).copy().swapaxes(1, 2), b)
    name = "batched_matmul_kernel"
    assert calls == [(name, False, False), (name, False, True), (name, True, False)]


def test_nothing_goes_to_no_kernel(calls):
    with matmul.matmul_backend("kernel"):
        for m, k, n in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
            a, b, bias = np.ones((m, k)), np.ones((k, n)), np.full(n, 5.0)
            np.testing.assert_array_equal(matmul.multiply(a, b, bias), np.full((m, n), 5.0))
            added = matmul.multiply(a, b, bias, out=np.ones((m, n)), accumulate=True)
            np.testing.assert_array_equal(added, np.full((m, n), 6.0))
            assert matmul.multiply_batch(a[None], b[None]).shape == (1, m, n)
    assert calls == []


def test_blas_does_the_same_with_bias_and_what_was_there(calls):
    a, b, bias = whole_numbers(3, 4), whole_numbers(4, 2, seed=1), whole_numbers(2, seed=2)
    with matmul.matmul_backend("blas"):
        product = matmul.multiply(a, b)
        np.testing.assert_array_equal(product, a @ b)
        np.testing.assert_array_equal(matmul.multiply(a, b, bias), a @ b + bias)
        out = matmul.multiply(a, b, bias, out=product, accumulate=True)
    assert out is product
    np.testing.assert_array_equal(out, 2 * (a @ b) + bias)
    assert calls == []
