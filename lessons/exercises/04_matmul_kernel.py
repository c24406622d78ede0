"""Exercises of lesson 04. Complete the functions, then: tinygrad-llm check 04"""

import numpy as np

from tinygrad_llm.kernel import kernel, prange  # noqa: F401  (for your kernels)


def matmul_backward(dout: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of a and b, where out = a @ b and dout (M, N) is the gradient of out.

    a: (M, K), b: (K, N). Returns (da, db) of the same shapes.

    >>> matmul_backward(np.array([[1.0]]), np.array([[2.0, 3.0]]), np.array([[5.0], [7.0]]))
    (array([[5., 7.]]), array([[2.],
           [3.]]))
    """
    raise NotImplementedError


def count_misses(addresses: list[int], line_size: int, n_lines: int) -> int:
    """How often a cache has to fetch a line from memory, for reads at these addresses (in bytes), one after the other.

    Line number 0 holds the bytes 0 … line_size − 1, and so on. The cache is empty at first and has room for n_lines
    lines. If a new line comes into a full cache, the line that was not read for the longest time has to go.

    >>> count_misses([0, 4, 8, 64, 0], line_size=64, n_lines=2)  # the lines 0, 0, 0, 1, 0: fetched are 0 and 1
    2
    >>> count_misses([0, 64, 128, 0], line_size=64, n_lines=2)  # line 2 drives out line 0, which is fetched again
    4
    """
    raise NotImplementedError


@kernel(parallel=True)
def bias_gradient(db, dout):
    """Write into db (N,) the sum of the rows of dout (M, N): the gradient of a bias that was added to each row.

    A kernel: loops over indices, no NumPy functions, nothing returned. What is in db at first is to be overwritten.
    Use prange for one of the loops, such that no two iterations of it write the same element.

    >>> db = np.empty(2)
    >>> bias_gradient(db, np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> db
    array([4., 6.])
    """
    raise NotImplementedError


@kernel(parallel=True)
def weight_gradient(db, a, dout):
    """Write into db (K, N) the product aᵀ dout, of a (M, K) and dout (M, N), without making aᵀ.

    A kernel as above. Two things are asked of the loops: iterations of prange write disjoint elements, and the
    innermost loop goes along a row of db and of dout, never down a column.

    >>> db = np.empty((2, 1))
    >>> weight_gradient(db, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0], [1.0]]))
    >>> db
    array([[13.],
           [24.]])
    """
    raise NotImplementedError
