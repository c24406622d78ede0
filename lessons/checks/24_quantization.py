"""How the exercises of lesson 24 are graded."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.hub.weights import bfloat16_bits as bfloat16_bits_ref
from tinygrad_llm.school import WrongAnswer, demand, exercise, search
from tinygrad_llm.school.checks import call_answer, call_text, compare
from tinygrad_llm.testing import float_arrays, shapes


def called(answer, *inputs, kinds: tuple[type, ...]):
    """What the answer returns: a tuple of these types."""
    call = call_text(answer, inputs)
    got = call_answer(answer, inputs, call)
    fits = isinstance(got, tuple) and len(got) == len(kinds)
    fits = fits and all(isinstance(each, kind) for each, kind in zip(got, kinds, strict=True))
    expected = "a tuple of " + ", ".join("an array" if kind is np.ndarray else "a number" for kind in kinds)
    demand(fits, f"{expected} was expected", call, None, got)
    return call, got


def demand_array(array, name, dtype, shape, call):
    wanted = f"{name} must be {np.dtype(dtype)} of shape {shape}"
    right = array.dtype == dtype and array.shape == shape
    demand(right, wanted, call, got=None if right else f"{array.dtype} of shape {array.shape}")


def demand_rounded(blocks, q, scale, largest, call):
    """blocks (…, size) and q, scale (…): whole numbers that fit, one by one."""
    demand(np.isfinite(scale).all() and (scale > 0).all(), "each scale must be finite and above 0", call, got=scale)
    reach = np.abs(blocks).max(axis=-1)
    outside = np.abs(q.astype(int)).max() > largest
    demand(not outside, f"q must stay from −{largest} to {largest}", call, got=q)
    zeros = reach == 0
    demand((q[zeros] == 0).all(), "zeros must stay zeros", call, np.zeros_like(q[zeros]), q[zeros])
    wanted = np.where(zeros, scale, reach / np.float32(largest)).astype(np.float32)
    what = f"the scale is the largest |w| that it is for, divided by {largest}"
    demand(np.allclose(scale, wanted, rtol=1e-5, atol=0), what, call, wanted, scale)
    error = np.abs(blocks.astype(np.float64) - q * scale.astype(np.float64)[..., None])
    far = error > (0.5 + 1e-4) * scale[..., None]
    if far.any():
        place = tuple(np.argwhere(far)[0])
        what = f"{blocks[place]:.6g} became {q[place]} · {scale[place[:-1]]:.6g}"
        demand(False, f"{what}, which is more than half a step off: is it rounded to the nearest?", call, got=q)


def single(strategy):
    return strategy.map(lambda array: array.astype(np.float32))


@exercise(
    "The largest of a row is that of |w|, along which axis? And what is 0 / 0?",
    "scale = |w|.max(axis=1) / 127, 1 where that is 0; np.rint(w / scale as a column), and only then astype(np.int8).",
)
def quantize_rows(answer):
    def check(weight):
        call, (q, scale) = called(answer, weight, kinds=(np.ndarray, np.ndarray))
        demand_array(q, "q", np.int8, weight.shape, call)
        demand_array(scale, "scale", np.float32, weight.shape[:1], call)
        demand_rounded(weight, q, scale, 127, call)

    rows = ([[0.503, -1.27, 0.298]], [[-5.0, 1.0]], [[0.0, 0.0], [1.0, -1.0]], [[1.0, 0.3], [1000.0, 3.0]])
    for each in (*rows, [[-1.27, 1.26]], [[3e-5, -1e-5]]):
        check(np.array(each, np.float32))
    search(check, single(float_arrays(shapes(2, 2, 1, 3))))


def layer(n_rows: int, N: int, K: int):
    rng = np.random.default_rng(0)
    q = rng.integers(-127, 128, (N, K), dtype=np.int8)
    x, scale, bias = (rng.uniform(0.5, 1.5, size).astype(np.float32) for size in ((n_rows, K), N, N))
    return x, q, scale, bias


@exercise(
    "Go over the rows of q. How many floats are there at a time?",
    "y[:, n] = scale[n] · (x @ the row n of q as float32) + bias[n], into an array np.empty((M, N), np.float32).",
)
def int8_linear(answer):
    def check(x, q, scale, bias):
        call = call_text(answer, (x, q, scale, bias))
        got = call_answer(answer, (x, q, scale, bias), call)
        exact = x.astype(np.float64) @ (scale.astype(np.float64)[:, None] * q).T + bias
        size = np.abs(x) @ np.abs(scale[:, None] * q).T + np.abs(bias)
        compare(got, exact.astype(np.float32), call, rtol=1e-5, atol=1e-6 * float(size.max()))
        demand(got.dtype == np.float32, f"the dtype must be float32, not {got.dtype}", call)

    q = np.array([[50, -127, 30], [127, 0, 0]], np.int8)
    check(np.array([[1, 2, -1]], np.float32), q, np.array([0.01, 1], np.float32), np.zeros(2, np.float32))
    check(np.array([[1, 2, -1]], np.float32), q, np.array([0.01, 1], np.float32), np.array([5, -5], np.float32))
    check(*layer(2, 3, 3))
    check(*layer(3, 5, 1000))  # sums far beyond what a byte or a float16 holds

    def drawn(x, N, seed):
        rng = np.random.default_rng(seed)
        scale, bias = rng.uniform(0.01, 1, N).astype(np.float32), rng.integers(-3, 4, N).astype(np.float32)
        check(x, rng.integers(-127, 128, (N, x.shape[1]), dtype=np.int8), scale, bias)

    search(drawn, single(float_arrays(shapes(2, 2, 1, 3))), st.integers(1, 3), st.integers(0, 5))
    x, q, scale, bias = layer(2, 1024, 512)
    call = call_text(answer, (x, q, scale, bias))
    call_answer(answer, (x, q, scale, bias), call)
    tracemalloc.start()
    answer(x, q, scale, bias)
    peak = tracemalloc.get_traced_memory()[1] - 4 * len(x) * len(q)
    tracemalloc.stop()
    what = f"it takes {peak:,} bytes beside the result, and q has {q.nbytes:,}: are all of its rows floats at once?"
    demand(peak < q.nbytes, what, call)


def from_bits(*bits: int) -> np.ndarray:
    return np.array(bits, np.uint32).view(np.float32)


def as_hex(bits) -> list[str]:
    return [hex(int(each)) for each in bits]


@exercise(
    "Which of the lower 16 bits must be 1 for more than half? And which bit tells whether the upper 16 are even?",
    "(bits + 0x7FFF + (bits >> 16 & 1)) >> 16, a carry may run up into the exponent. For NaN, which could run over "
    "into something else, np.where with a NaN such as 0x7FC0.",
)
def bfloat16_bits(answer):
    def check(x, why):
        with np.errstate(invalid="ignore"):  # some NaN are not to be computed with
            call = f"bfloat16_bits(x) for x = {x.tolist()}, in bits {as_hex(x.view(np.uint32))}"
        got = call_answer(answer, (x,), call)
        is_array = isinstance(got, np.ndarray) and got.dtype == np.uint16 and got.shape == x.shape
        demand(is_array, f"an array of uint16 of shape {x.shape} was expected", call, got=got)
        nan = np.isnan(x)
        stays = ((got[nan] & 0x7F80) == 0x7F80) & ((got[nan] & 0x7F) != 0)
        demand(stays.all(), "NaN must stay NaN", call, "0x7fc0, or another NaN", as_hex(got))
        expected = bfloat16_bits_ref(x)
        demand(np.array_equal(got[~nan], expected[~nan]), why, call, as_hex(expected), as_hex(got))

    check(from_bits(0x3F800000, 0xC0A00000, 0), "1, −5 and 0 are bfloat16 numbers already")
    check(from_bits(0x3F80C000, 0x3F804000), "more than half goes up, less than half down")
    check(from_bits(0x3F808000), "half way it is the even one, here down")
    check(from_bits(0x3F818000, 0xBF818000), "half way it is the even one, here up, with either sign")
    check(from_bits(0x3F808001, 0x3F807FFF), "the lowest bit decides: just above half goes up, just below it down")
    check(from_bits(0x3FFFFFFF), "just below 2 it is 2: the carry runs into the exponent")
    check(from_bits(0x7F800000, 0xFF800000), "infinity stays")
    check(from_bits(0x7F7FFFFF, 0xFF7F8000), "beyond the largest bfloat16 comes infinity")
    check(from_bits(0x7FC00000, 0x3F808000), "one NaN changes nothing for the others")
    for bits in (0x7FC00000, 0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF):
        check(from_bits(bits), "NaN must stay NaN")
    why = "to the nearest; half way, to the even one"
    upper, lower = (
        st.integers(0, 0xFFFF),
        st.sampled_from([0x8000, 0, 1, 0x7FFF, 0x8001, 0xFFFF]) | st.integers(0, 0xFFFF),
    )
    search(lambda upper, lower: check(from_bits(upper << 16 | lower), why), upper, lower, max_examples=200)


def rounding_error(weight, size: int) -> float:
    blocks = weight.astype(np.float64).reshape(-1, size)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 7
    scale[scale == 0] = 1
    return float(np.sqrt(np.mean((blocks - np.rint(blocks / scale) * scale) ** 2)))


@exercise(
    "reshape(N, K // block, block) has a block in its last axis. What shape has the scale that divides it?",
    "Write the rounding for any size of block, with its error, and call it twice: with `block`, and with K for whole "
    "rows. The root mean square is np.sqrt(np.mean(error ** 2)).",
)
def four_bit_blocks(answer):
    def check(weight, block, exact=False):
        call, (q, scale, gain) = called(answer, weight, block, kinds=(np.ndarray, np.ndarray, (float, int, np.number)))
        (N, K), n_blocks = weight.shape, weight.shape[1] // block
        demand_array(q, "q", np.int8, (N, K), call)
        demand_array(scale, "scale", np.float32, (N, n_blocks), call)
        demand_rounded(weight.reshape(N, n_blocks, block), q.reshape(N, n_blocks, block), scale, 7, call)
        errors = [rounding_error(weight, size) for size in (K, block)]
        largest = float(np.abs(weight).max())
        if exact or errors[1] > 1e-4 * largest:  # less is the rounding of floats
            expected = 1.0 if exact else errors[0] / errors[1]
            what = "the gain is the RMS error with a scale for each row, divided by that with blocks"
            demand(bool(np.isclose(float(gain), expected, rtol=1e-3)), what, call, expected, float(gain))

    check(np.array([[7.0, 3.6, 0.7, 0.36]], np.float32), 2)
    check(np.array([[7.0, 3.6, 0.7, 0.36]], np.float32), 4)
    check(np.array([[1.0, 0.3, -2.0, 0.7], [0.0, 0.0, 3.0, -1.1]], np.float32), 2)
    check(np.zeros((1, 4), np.float32), 2, exact=True)
    check(np.array([[-7.0, 0.0, 0.0, 7.0]], np.float32), 2, exact=True)
    rows = np.random.default_rng(0).standard_normal((4, 128)).astype(np.float32)
    rows[1, 5] = 30
    check(rows, 32)
    search(check, single(float_arrays((2, 4))), st.sampled_from([2, 4]))


def q4_1_ref(raw: bytes) -> np.ndarray:
    """Weight by weight, as the format tells."""
    weights = []
    for start in range(0, len(raw), 20):
        d, m, *pairs = struct.unpack("<ee16B", raw[start : start + 20])
        weights += [d * q + m for q in (*(pair % 16 for pair in pairs), *(pair // 16 for pair in pairs))]
    return np.array(weights, np.float32)


def q4_1_block(d: float, m: float, pairs) -> bytes:
    return struct.pack("<ee16B", d, m, *pairs)


@exercise(
    "np.frombuffer(raw, np.uint8).reshape(-1, 20) has a block in each row. Which columns are d, which are m?",
    "A column pair, made contiguous by .copy(), has the float16 by .view('<f2'). The halves of a byte are & 15 and "
    ">> 4: all 16 lower ones come before the upper ones. Turn d and m to float32 before you compute.",
)
def q4_1(answer):
    def check(raw, why=""):
        call = f"q4_1(raw) for raw = bytes.fromhex('{raw.hex(' ', 4)}')"
        got = call_answer(answer, (raw,), call)
        compare(got, q4_1_ref(raw), call, rtol=1e-6, atol=1e-7, why=why)
        demand(got.dtype == np.float32, f"the dtype must be float32, not {got.dtype}", call)

    check(q4_1_block(0.5, -2.0, range(0, 256, 17)), "the example")
    check(q4_1_block(1.0, 0.0, [0x10, *[0] * 15]), "the upper half of byte 0 belongs to weight 16")
    check(
        q4_1_block(1.0, 0.0, [15, 3, *[0] * 14]), "the lower halves of neighbouring bytes are neighbours, from 0 to 15"
    )
    check(q4_1_block(2.0, 3.0, [0] * 16), "d comes first, and q = 0 is the least weight m")
    check(q4_1_block(0.1, -0.7, range(16)), "d q + m has more digits than a float16")
    check(q4_1_block(6e4, 0.0, [15] * 16), "d q may be beyond what a float16 holds")
    check(q4_1_block(0.5, -2.0, range(16)) + q4_1_block(-3.0, 7.0, range(16, 32)), "each block has a scale of its own")
    check(b"", "no block, no weight")
    whole = q4_1_block(0.5, -2.0, range(16))
    for n_bytes in (1, 19, 21, 39):
        call = f"q4_1(raw) for {n_bytes} bytes"
        try:
            got = call_answer(answer, ((2 * whole)[:n_bytes],), call)
        except WrongAnswer as wrong:
            demand(isinstance(wrong.__cause__, ValueError), f"a ValueError was expected; {wrong.what}", call)
        else:
            demand(False, "a ValueError was expected: this is no whole number of blocks", call, got=got)
    halves = st.integers(-999, 999).map(lambda n: n / 64)
    block = st.builds(q4_1_block, halves, halves, st.lists(st.integers(0, 255), min_size=16, max_size=16))
    search(lambda drawn: check(b"".join(drawn)), st.lists(block, min_size=1, max_size=2))
