"""matmul, bmm and outer: products of matrices.

Forward    C = A B                      C_ij = Σ_k A_ik B_kj
Backward   dA = dC Bᵀ,  dB = Aᵀ dC
Shapes     (…, M, K) @ (…, K, N) → (…, M, N), leading dims broadcast; a 1-D operand is a row or a column that is
           taken away again from the result
Saved      the operands that a wanted gradient needs
Lesson     04_matmul_kernel

`multiply` is where all products of the package end: it sends them to our kernel or to NumPy's BLAS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import jit_enabled
from .common import as_matrix, as_tensor, broadcast_shape, unbroadcast
from .matmul_kernels import BLOCK, ROWS, batched_matmul_kernel, matmul_kernel
from .thin_matmul_kernels import thin_matmul_kernel, thin_matmul_transposed_kernel

# With fewer rows than that, copying B into panels costs more than it saves.
THIN = 8
_backend = "auto"


def matmul_ref(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """out[i, j] = Σ_k a[i, k] b[k, j], as the definition says it. a: (M, K), b: (K, N)."""
    return (a[:, :, None] * b[None, :, :]).sum(axis=1, dtype=a.dtype)


def set_matmul(backend: str) -> None:
    """Choose who multiplies matrices from now on: "kernel" (ours), "blas" (NumPy's), or "auto"."""
    global _backend
    if backend not in ("auto", "kernel", "blas"):
        raise ValueError(f'set_matmul: backend must be "auto", "kernel" or "blas", not {backend!r}.')
    _backend = backend


@contextmanager
def matmul_backend(backend: str) -> Iterator[None]:
    """`set_matmul` for the time of a `with` block."""
    previous = _backend
    set_matmul(backend)
    try:
        yield
    finally:
        set_matmul(previous)


def use_kernel(dtype: np.dtype) -> bool:
    """The rule: our kernels for float32, BLAS for float64 (gradient checks) and where kernels are plain Python.

    A BLAS call alone is about as fast, but OpenBLAS's threads and Numba's, each waiting busily for more work, slow down
    a training step that uses both (see benchmarks/bench_matmul.py).
    """
    return _backend == "kernel" or (_backend == "auto" and dtype == np.float32 and jit_enabled())


def multiply(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    out: np.ndarray | None = None,
    accumulate: bool = False,
) -> np.ndarray:
    """a (M, K) @ b (K, N) + bias (N,), into `out` if given, added to what is there if `accumulate`.

    Either operand may be a transposed view: nothing is copied for that.
    """
    if out is None:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    if not use_kernel(a.dtype) or not a.size or not b.size:
        if accumulate:
            out += a @ b
        else:
            np.matmul(a, b, out=out)
        if bias is not None:
            out += bias
        return out
    bias = np.empty(0, a.dtype) if bias is None else np.ascontiguousarray(bias)
    b, transpose_b = _stored(b)
    if len(out) < (_thin_transposed(b.size) if transpose_b else THIN):
        thin_kernel = thin_matmul_transposed_kernel if transpose_b else thin_matmul_kernel
        thin_kernel(out, np.ascontiguousarray(a), b, bias, accumulate)
    else:
        a, transpose_a = _stored(a)
        matmul_kernel(out, a, b, bias, transpose_a, transpose_b, accumulate, _block_rows(len(out)))
    return out


def _stored(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """`x` as it lies in memory, contiguous, and whether it is the transposed of that."""
    if x.flags.c_contiguous:
        return x, False
    if x.T.flags.c_contiguous:
        return x.T, True
    return np.ascontiguousarray(x), False


def _thin_transposed(size: int) -> int:
    """The same limit for B as (N, K), whose copy has to turn it: the larger B is, the more rows that takes to repay."""
    return min(max(size // 2048, 24), 128)


def _block_rows(M: int) -> int:
    """At most BLOCK rows, and at least eight blocks where M allows it, so that threads share the work evenly."""
    return min(BLOCK, max(math.ceil(M / 8 / ROWS) * ROWS, ROWS))


def multiply_batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (…, M, K) @ b (…, K, N) with the same leading dims: by BLAS, unless the kernel is asked for by name."""
    if _backend != "kernel" or not a.size or not b.size:
        return np.matmul(a, b)
    batch = math.prod(a.shape[:-2])
    out = np.empty((batch, a.shape[-2], b.shape[-1]), a.dtype)
    a3, transpose_a = _stored_batch(a)
    b3, transpose_b = _stored_batch(b)
    batched_matmul_kernel(out, a3, b3, transpose_a, transpose_b)
    return out.reshape(*a.shape[:-2], *out.shape[1:])


def _stored_batch(x: np.ndarray) -> tuple[np.ndarray, bool]:
    swapped = x.swapaxes(-1, -2)
    transposed = not x.flags.c_contiguous and swapped.flags.c_contiguous
    stored = np.ascontiguousarray(swapped if transposed else x)
    return stored.reshape(-1, *stored.shape[-2:]), transposed


class MatMul(Function):
    @staticmethod
    def forward(a, b, needs=(True, True)):
        saved = (a if needs[1] else None, b if needs[0] else None, a.shape, b.shape)
        if b.ndim == 2 and a.ndim >= 2:
            rows = as_matrix(a)
            return multiply(rows, b).reshape(*a.shape[:-1], b.shape[-1]), saved
        return _batch(a, b), saved

    @staticmethod
    def backward(dout, saved):
        a, b, a_shape, b_shape = saved
        if len(b_shape) == 2 and len(a_shape) >= 2:
            drows = as_matrix(dout)
            da = None if b is None else multiply(drows, b.T).reshape(a_shape)
            db = None if a is None else multiply(as_matrix(a).T, drows)
            return da, db
        da = None if b is None else unbroadcast(_batch(dout, b.swapaxes(-1, -2)), a_shape)
        db = None if a is None else unbroadcast(_batch(a.swapaxes(-1, -2), dout), b_shape)
        return da, db


def _batch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`multiply_batch` for leading dims that broadcast."""
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return multiply_batch(np.broadcast_to(a, leading + a.shape[-2:]), np.broadcast_to(b, leading + b.shape[-2:]))


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product with torch.matmul's rules: (…, M, K) @ (…, K, N) → (…, M, N); 1-D operands are vectors.

    Raises ValueError where the inner or the leading dims do not match.
    """
    a, b = _operands("matmul", a, b)
    if a.ndim == 1:
        product = matmul(a.unsqueeze(0), b)
        return product.squeeze(-2) if b.ndim > 1 else product.squeeze(0)
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).squeeze(-1)
    broadcast_shape("matmul (leading dims)", a.shape[:-2], b.shape[:-2])
    out, saved = MatMul.forward(a.data, b.data, (a.requires_grad, b.requires_grad))
    return MatMul.record(out, saved, a, b)


def bmm(a: Tensor, b: Tensor) -> Tensor:
    """Batched product (B, M, K) @ (B, K, N) → (B, M, N), without broadcasting."""
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0]:
        raise ValueError(f"bmm: needs (B, M, K) and (B, K, N), got {a.shape} and {b.shape}.")
    return matmul(a, b)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """(M,), (N,) → (M, N): all products a_i b_j."""
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: needs two 1-D tensors, got shapes {a.shape} and {b.shape}.")
    return a.unsqueeze(1) * b.unsqueeze(0)


def _operands(op: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(op, a), as_tensor(op, b)
    for x in (a, b):
        if x.ndim == 0:
            raise ValueError(f"{op}: both operands need at least one dim, got {a.shape} and {b.shape}; use * to scale.")
    if a.dtype != b.dtype:
        raise TypeError(f"{op}: dtypes {a.dtype} and {b.dtype} differ; convert one with .to(dtype).")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ValueError(
            f"{op}: shapes {a.shape} and {b.shape} do not fit: the last dim of the first ({a.shape[-1]}) "
            f"must be the {'second to last' if b.ndim > 1 else 'only'} dim of the second ({inner})."
        )
    return a, b
