"""Plausible wrong answers to the exercises of lesson 24: each must fail its check."""

import numpy as np


def quantize_rows__has_one_scale_for_the_matrix(weight):
    """One large row ruins the others."""
    scale = np.full(len(weight), max(np.abs(weight).max() / 127, 1e-30), np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def quantize_rows__forgets_the_sign(weight):
    """The maximum of w, not of |w|: a row's most negative number overflows."""
    scale = weight.max(axis=1) / np.float32(127)
    scale[scale <= 0] = 1
    return np.rint(weight / scale[:, None]).astype(np.int64).astype(np.int8), scale


def quantize_rows__truncates(weight):
    """astype cuts towards 0: errors up to a whole step."""
    scale = np.abs(weight).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return (weight / scale[:, None]).astype(np.int8), scale


def quantize_rows__divides_by_zero(weight):
    """A row of zeros becomes 0/0."""
    with np.errstate(all="ignore"):
        scale = np.abs(weight).max(axis=1) / np.float32(127)
        return np.rint(weight / scale[:, None]).astype(np.int8), scale


def quantize_rows__uses_the_whole_range(weight):
    """−128 for the most negative number: not symmetric."""
    scale = np.abs(weight).max(axis=1) / np.float32(128)
    scale[scale == 0] = 1
    return np.clip(np.rint(weight / scale[:, None]), -128, 127).astype(np.int8), scale


def quantize_rows__shares_a_scale_by_column(weight):
    """The wrong axis."""
    scale = np.abs(weight).max(axis=0) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(weight / scale).astype(np.int8), scale


def quantize_rows__adds_a_small_number(weight):
    """A common patch against 0/0, which is large next to small weights."""
    scale = np.abs(weight).max(axis=1) / np.float32(127) + np.float32(1e-6)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def quantize_rows__changes_the_weights(weight):
    """Divides in place."""
    scale = np.abs(weight).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    weight /= scale[:, None]
    return np.rint(weight).astype(np.int8), scale


def int8_linear__makes_all_floats(x, q, scale, bias):
    """Right numbers, in four times the memory."""
    return x @ (scale[:, None] * q.astype(np.float32)).T + bias


def int8_linear__lets_numpy_make_all_floats(x, q, scale, bias):
    """x @ q.T turns all of q into floats too."""
    return (x @ q.T) * scale + bias


def int8_linear__sums_bytes(x, q, scale, bias):
    """x is rounded to bytes, and so are the sums."""
    y = np.empty((len(x), len(q)), np.float32)
    for n, row in enumerate(q):
        y[:, n] = scale[n] * (x.astype(np.int32).astype(np.int8) * row).sum(axis=1, dtype=np.int8) + bias[n]
    return y


def int8_linear__forgets_the_bias(x, q, scale, bias):
    """Only the product."""
    return np.stack([scale[n] * (x @ row.astype(np.float32)) for n, row in enumerate(q)], axis=1)


def int8_linear__scales_the_bias_too(x, q, scale, bias):
    """The scale is a factor of the sum alone."""
    return np.stack([scale[n] * (x @ row.astype(np.float32) + bias[n]) for n, row in enumerate(q)], axis=1)


def int8_linear__sums_in_halves(x, q, scale, bias):
    """float16 ends at 65,504 and has three digits."""
    with np.errstate(all="ignore"):
        y = [scale[n] * (x.astype(np.float16) @ row.astype(np.float16)) + bias[n] for n, row in enumerate(q)]
    return np.stack(y, axis=1).astype(np.float32)


def bfloat16_bits__cuts(x):
    """The upper half as it is: always towards 0."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def bfloat16_bits__rounds_half_up(x):
    """Lesson 17's way: half goes always away from 0."""
    return np.where(np.isnan(x), 0x7FC0, (x.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)


def bfloat16_bits__rounds_half_down(x):
    """One less than half is added."""
    return np.where(np.isnan(x), 0x7FC0, (x.view(np.uint32) + 0x7FFF) >> 16).astype(np.uint16)


def bfloat16_bits__rounds_to_odd(x):
    """The last bit the wrong way round."""
    bits = x.view(np.uint32)
    return np.where(np.isnan(x), 0x7FC0, (bits + 0x8000 - (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bfloat16_bits__loses_the_carry(x):
    """The upper half and the rounding bit put together with |: no carry into the next bit."""
    bits = x.view(np.uint32)
    rest, last = bits & 0xFFFF, bits >> 16 & 1
    up = (rest > 0x8000) | ((rest == 0x8000) & (last == 1))
    return np.where(np.isnan(x), 0x7FC0, (bits >> 16) | up).astype(np.uint16)


def bfloat16_bits__forgets_nan(x):
    """The largest NaN runs over into −0, and some become infinity."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bfloat16_bits__stops_at_the_largest(x):
    """Clips to the largest bfloat16: no infinity."""
    largest = np.uint32(0x7F7F0000).view(np.float32)
    clipped = np.clip(np.where(np.isnan(x), 0, x), -largest, largest).astype(np.float32)
    bits = clipped.view(np.uint32)
    return np.where(np.isnan(x), 0x7FC0, (bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _blocks(weight, block, largest=7, rounding=np.rint, axis=2):
    blocks = weight.reshape(len(weight), -1, block)
    scale = np.abs(blocks).max(axis=axis) / np.float32(largest)
    scale[scale == 0] = 1
    q = rounding(blocks / scale[..., None])
    error = blocks - q * scale[..., None]
    return q.reshape(weight.shape).astype(np.int8), scale, error


def _rms(error):
    return float(np.sqrt(np.mean(error**2)))


def _answer(weight, block, measure=_rms, **how):
    q, scale, error = _blocks(weight, block, **how)
    with_rows = measure(_blocks(weight, weight.shape[1], **how)[2])
    return q, scale, with_rows / measure(error) if measure(error) else 1.0


def four_bit_blocks__has_one_scale_for_a_row(weight, block):
    """The blocks of a row share their scale."""
    q, scale, _ = _blocks(weight, weight.shape[1])
    return q, np.repeat(scale, weight.shape[1] // block, axis=1), 1.0


def four_bit_blocks__has_eight_steps(weight, block):
    """−8 to 8 are 17 values, not 16."""
    return _answer(weight, block, largest=8)


def four_bit_blocks__keeps_eight_bits(weight, block):
    """127 steps."""
    return _answer(weight, block, largest=127)


def four_bit_blocks__truncates(weight, block):
    """Cuts where it should round."""
    return _answer(weight, block, rounding=np.trunc)


def four_bit_blocks__takes_every_other_column(weight, block):
    """Blocks of columns that are K // block apart, not of neighbours."""
    N, K = weight.shape
    q, scale, gain = _answer(weight.reshape(N, block, -1).swapaxes(1, 2).reshape(N, K), block)
    return q.reshape(N, -1, block).swapaxes(1, 2).reshape(N, K), scale, gain


def four_bit_blocks__measures_mean_squares(weight, block):
    """Without the root."""
    return _answer(weight, block, measure=lambda error: float(np.mean(error**2)))


def four_bit_blocks__measures_absolute_errors(weight, block):
    """The mean of |error|."""
    return _answer(weight, block, measure=lambda error: float(np.abs(error).mean()))


def four_bit_blocks__divides_the_other_way(weight, block):
    """Below 1 where blocks are better."""
    q, scale, gain = _answer(weight, block)
    return q, scale, 1 / gain if gain else 1.0


def four_bit_blocks__divides_by_zero(weight, block):
    """A block of zeros becomes 0/0, and so does the gain."""
    with np.errstate(all="ignore"):
        results = []
        for size in (block, weight.shape[1]):
            blocks = weight.reshape(len(weight), -1, size)
            scale = np.abs(blocks).max(axis=2) / np.float32(7)
            q = np.rint(blocks / scale[..., None])
            results.append((q.reshape(weight.shape).astype(np.int8), scale, _rms(blocks - q * scale[..., None])))
        return *results[0][:2], float(np.divide(results[1][2], results[0][2]))


def _q4_1(
    raw, kind=np.float32, halves=lambda q: np.concatenate([q & 15, q >> 4], axis=1), order="dm", start=0, share=None
):
    blocks = np.frombuffer(raw[: len(raw) // 20 * 20], np.dtype([("d", "<f2"), ("m", "<f2"), ("q", np.uint8, 16)]))
    d, m = (blocks[name][:share].astype(kind)[:, None] for name in order)
    with np.errstate(all="ignore"):
        return (d * (halves(blocks["q"]).astype(kind) - kind(start)) + m).astype(np.float32).reshape(-1)


def _whole(raw):
    if len(raw) % 20:
        raise ValueError("no whole number of blocks")
    return raw


def q4_1__puts_halves_side_by_side(raw):
    """Weights 2j and 2j + 1 in byte j."""
    return _q4_1(_whole(raw), halves=lambda q: np.stack([q & 15, q >> 4], axis=2).reshape(-1, 32))


def q4_1__takes_the_upper_half_first(raw):
    """The other way round."""
    return _q4_1(_whole(raw), halves=lambda q: np.concatenate([q >> 4, q & 15], axis=1))


def q4_1__swaps_scale_and_least_weight(raw):
    """m comes second."""
    return _q4_1(_whole(raw), order="md")


def q4_1__subtracts_eight(raw):
    """That is Q4_0."""
    return _q4_1(_whole(raw), start=8)


def q4_1__computes_in_float16(raw):
    """Three digits, and no number above 65,504."""
    return _q4_1(_whole(raw), kind=np.float16)


def q4_1__has_one_scale_for_all(raw):
    """That of the first block."""
    return _q4_1(_whole(raw), share=1)


def q4_1__cuts_off_what_is_too_much(raw):
    """No error where a block is incomplete."""
    return _q4_1(raw)
