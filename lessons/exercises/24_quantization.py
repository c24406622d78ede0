"""Exercises of lesson 24: weights as bytes, a product with them, floats of 16 bits, 4 bits in blocks, and in a file.

tinygrad-llm check 24
"""

import struct  # noqa: F401  (for you)

import numpy as np


def quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (N, K), float32 → q (N, K), int8 from −127 to 127, and scale (N,), float32 above 0.

    The number of a row with the largest |w| becomes 127 or −127, and the others are rounded to the nearest, so that
    scale · q differs from w by scale/2 at most. A row of zeros becomes zeros; its scale may be anything above 0.

    >>> quantize_rows(np.array([[0.503, -1.27, 0.298], [0.0, 0.0, 0.0]], np.float32))[0]
    array([[  50, -127,   30],
           [   0,    0,    0]], dtype=int8)
    """
    raise NotImplementedError


def int8_linear(x: np.ndarray, q: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x (M, K) times the matrix scale ⊙ q, plus bias: y_mn = scale_n Σ_k x_mk q_nk + bias_n. Shape (M, N), float32.

    x, scale (N,) and bias (N,) are float32, q (N, K) is int8. The sums are of floats: a byte overflows. And never all
    of q as floats at once: for large N the memory that you take has to be less than that of q itself, result aside.

    >>> q = np.array([[50, -127, 30], [127, 0, 0]], np.int8)
    >>> x, scale, bias = np.array([[1, 2, -1]], np.float32), np.array([0.01, 1], np.float32), np.zeros(2, np.float32)
    >>> int8_linear(x, q, scale, bias)
    array([[ -2.34, 127.  ]], dtype=float32)
    """
    raise NotImplementedError


def bfloat16_bits(x: np.ndarray) -> np.ndarray:
    """The bits (N,), uint16, of the bfloat16 nearest to each float32 of x (N,); half way, of the even one.

    By whole numbers: x.view(np.uint32) has the bits of a float32, and a bfloat16 is the upper 16. Numbers beyond its
    largest become infinity, infinity stays, and NaN stays NaN (any: all 8 bits of the exponent 1, the fraction not 0).

    >>> [hex(bits) for bits in bfloat16_bits(np.array([1, 1 + 1 / 256, 1 + 3 / 256], np.float32))]
    ['0x3f80', '0x3f80', '0x3f82']
    """
    raise NotImplementedError


def four_bit_blocks(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, float]:
    """4 bits with a scale for each `block` neighbours in a row of weight (N, K), and what that gains. K % block is 0.

    Returns
    - q (N, K), int8: whole numbers from −7 to 7, where the largest |w| of each block becomes 7 or −7
    - scale (N, K // block), float32, above 0 also for a block of zeros, which stays zeros
    - gain: the root mean square of w − scale · q where each whole row has one scale, divided by that with blocks.
      1.0 if the error with blocks is 0.

    >>> q, scale, gain = four_bit_blocks(np.array([[7.0, 3.6, 0.7, 0.36]], np.float32), block=2)
    >>> q
    array([[7, 4, 7, 4]], dtype=int8)
    >>> scale
    array([[1. , 0.1]], dtype=float32)
    >>> round(gain, 2)  # the whole row would be 7, 4, 1, 0: errors 0, −0.4, −0.3, 0.36, and now 0, −0.4, 0, −0.04
    1.53
    """
    raise NotImplementedError


def q4_1(raw: bytes) -> np.ndarray:
    """The weights, float32 (32 n,), of n blocks of Q4_1 one after another, as they stand in a GGUF file.

    A block has 20 bytes: the scale d and the least weight m, both float16 with the lower byte first, then 16 bytes of
    two numbers q from 0 to 15 each. The lower half of byte j belongs to weight j of the block, the upper half to weight
    j + 16, and w = d q + m, in float32. ValueError where the bytes are no whole number of blocks.

    >>> q4_1(struct.pack("<ee", 0.5, -2.0) + bytes(range(0, 256, 17)))[[0, 1, 15, 16, 31]]
    array([-2. , -1.5,  5.5, -2. ,  5.5], dtype=float32)
    """
    raise NotImplementedError
