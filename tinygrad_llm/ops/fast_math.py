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
    digits. 2^n is written straight into the exponent bits of a float, n + 127: at the ends of the range these are
    0 and 255, which make it 0 and infinity without a comparison. Coefficients: our own minimax fit.
    """
    within = min(max(np.float32(-88.0), x), np.float32(89.0))
    n = np.floor(within * np.float32(1.4426950408889634) + np.float32(0.5))
    r = within - n * np.float32(0.693359375) + n * np.float32(2.1219444e-4)
    p = np.float32(8.290272190e-3)
    p = p * r + np.float32(4.189816011e-2)
    p = p * r + np.float32(1.666763813e-1)
    p = p * r + np.float32(4.999914784e-1)
    p = p * r + np.float32(9.999997063e-1)
    p = p * r + np.float32(1.0)
    result = p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    if x != x:
        result = x
    return result


@kernel
def largest_of(row):
    """The maximum of a row. Where there is a NaN, it may be NaN or the maximum of the others.

    A compiler may not reorder comparisons of floats, because of NaN: a loop of them does one at a time. Those of
    integers it may.
    """
    if isinstance(row[0], np.float32):
        largest = flip_negative(np.float32(row[0]).view(np.int32))
        for v in range(len(row)):
            largest = max(largest, flip_negative(np.float32(row[v]).view(np.int32)))
        return np.int32(flip_negative(largest)).view(np.float32)
    largest = row[0]
    for v in range(len(row)):
        largest = max(largest, row[v])
    return largest


@kernel
def flip_negative(bits):
    """From a float's bits an integer in the order of the floats, and back.

    The bits of positive floats (sign, exponent, digits) are in that order as they are; of negative ones, all but the
    sign have to be flipped.
    """
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))
