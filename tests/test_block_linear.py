"""block_linear: both formats with and without offsets, in several tiles and chunks, by the kernels and without."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm import Tensor
from tinygrad_llm.ops import block_linear as module
from tinygrad_llm.ops.block_linear import BLOCK, DIRECT_ROWS, TILE, block_linear, block_linear_ref, pack_blocks
from tinygrad_llm.ops.matmul import matmul_backend

FORMATS = {(bits, offset): f"{bits}-bits{'-offset' * offset}" for bits in (4, 8) for offset in (False, True)}


def random_weight(bits, has_offset, N, K, seed=0):
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (N, K * bits // 8), np.uint8)
    scale, offset = rng.standard_normal((2, N, K // BLOCK)).astype(np.float32)
    return pack_blocks(packed if bits == 4 else packed.view(np.int8), scale, offset if has_offset else None)


def dense(weight):
    """W (N, K), as the formula says it: s_nb Q_nk + o_nb, number by number of the tiles."""
    (N, K), tiles = weight.shape, weight.tiles.astype(int)
    w = np.empty((N, K))
    for n in range(N):
        for k in range(K):
            t, row, b = n // TILE, n % TILE, k // BLOCK
            if weight.bits == 4:
                q = tiles[t, 16 * b + k % 16, row] // (16 if k % 32 >= 16 else 1) % 16
            else:
                q = (tiles[t, k, row] + 128) % 256 - 128
            w[n, k] = weight.scale[t, b, row] * q + (weight.offset[t, b, row] if weight.offset.size else 0)
    return w


def run(x, weight, backend="kernel"):
    """The output, and the gradient of its product with fixed random numbers."""
    leaf = Tensor(x, requires_grad=True)
    with matmul_backend(backend):
        out = block_linear(leaf, weight)
        out.backward(np.cos(np.arange(out.data.size, dtype=x.dtype)).reshape(out.shape))
    return out.data, leaf.grad.data


@pytest.mark.parametrize("case", FORMATS, ids=FORMATS.values())
@pytest.mark.parametrize("n_rows", [2, DIRECT_ROWS + 1], ids=["few-rows", "many-rows"])
def test_kernels_are_the_formula(case, n_rows):
    weight = random_weight(*case, TILE + 3, 2 * BLOCK)
    w, x = dense(weight), np.random.default_rng(1).standard_normal((n_rows, 2 * BLOCK))
    dout = np.cos(np.arange(n_rows * len(w))).reshape(n_rows, -1)
    for backend in ("kernel", "blas"):
        with plain_python():
            out, dx = run(x, weight, backend)
        np.testing.assert_allclose(out, x @ w.T, rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(dx, dout @ w, rtol=1e-12, atol=1e-10)
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-2)):
        out, dx = run(x.astype(dtype), weight)
        assert out.dtype == dx.dtype == dtype
        np.testing.assert_allclose(out, x @ w.T, rtol=1e-4, atol=tolerance)
        np.testing.assert_allclose(dx, dout @ w, rtol=1e-4, atol=tolerance)


def test_sums_of_blocks():
    x = np.random.default_rng(0).standard_normal((3, 2 * BLOCK))
    for context in (contextlib.nullcontext, plain_python):
        with context():
            sums = module.sums_of_blocks(x)
        assert sums.shape == (3, 2)
        np.testing.assert_allclose(sums, x.reshape(3, 2, BLOCK).sum(axis=2), rtol=1e-12)


@pytest.mark.parametrize("at_once", [0, 1, 2, 3])
@pytest.mark.parametrize("backend", ["kernel", "blas"])
def test_any_number_of_tiles_at_once_is_the_same(monkeypatch, backend, at_once):
    """Chunks of one tile, of two with a last one of one, and of all; none at once would be no progress."""
    weight = random_weight(4, True, 2 * TILE + 5, BLOCK)
    x = np.random.default_rng(1).standard_normal((DIRECT_ROWS + 1, BLOCK))
    sizes, multiply = [], module.multiply
    monkeypatch.setattr(module, "CHUNK", at_once * TILE * BLOCK)
    monkeypatch.setattr(
        module, "multiply", lambda a, b, **options: (sizes.append(b.shape), multiply(a, b, **options))[1]
    )
    with plain_python():
        out, dx = run(x, weight, backend)
    np.testing.assert_allclose(out, block_linear_ref(x, weight), rtol=1e-12, atol=1e-10)
    dout = np.cos(np.arange(out.size)).reshape(out.shape)
    np.testing.assert_allclose(dx, dout @ block_linear_ref(np.eye(BLOCK), weight).T, rtol=1e-12, atol=1e-10)
    columns = {0: [64, 64, 5], 1: [64, 64, 5], 2: [128, 5], 3: [133]}[at_once]
    assert sizes == [(BLOCK, n) for n in columns] + [(n, BLOCK) for n in columns]


@pytest.mark.parametrize("limit", [0, 10**9])
def test_both_loops_over_tiles_are_the_formula(monkeypatch, limit):
    monkeypatch.setattr(module, "FEW", limit)
    weight = random_weight(8, True, 2 * TILE + 5, BLOCK)
    x = np.random.default_rng(1).standard_normal((3, BLOCK))
    with plain_python():
        np.testing.assert_allclose(run(x, weight)[0], block_linear_ref(x, weight), rtol=1e-12, atol=1e-10)


def test_which_rows_go_straight_to_the_tiles(monkeypatch):
    """Up to DIRECT_ROWS, and never where kernels are not asked for."""
    weight, taken = random_weight(4, False, 3, BLOCK), []
    kernel = module.block_linear_kernel
    monkeypatch.setattr(module, "block_linear_kernel", lambda *arrays: (taken.append(len(arrays[1])), kernel(*arrays)))
    for n_rows in (DIRECT_ROWS, DIRECT_ROWS + 1):
        run(np.ones((n_rows, BLOCK)), weight)
        run(np.ones((n_rows, BLOCK)), weight, "blas")
    assert taken == [DIRECT_ROWS]
