"""Solutions of lesson 24."""

import numpy as np


def quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.abs(weight).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def int8_linear(x: np.ndarray, q: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    y = np.empty((len(x), len(q)), np.float32)
    for n, row in enumerate(q):
        y[:, n] = scale[n] * (x @ row.astype(np.float32)) + bias[n]
    return y


def bfloat16_bits(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.uint32)
    last = bits >> 16 & 1
    rounded = (bits + 0x7FFF + last) >> 16
    return np.where(np.isnan(x), 0x7FC0, rounded).astype(np.uint16)


def four_bit_blocks(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, float]:
    (q, scale, error), (_, _, row_error) = (_quantize_blocks(weight, size) for size in (block, weight.shape[1]))
    return q, scale, row_error / error if error else 1.0


def _quantize_blocks(weight: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, float]:
    blocks = weight.reshape(len(weight), -1, block)
    scale = np.abs(blocks).max(axis=2) / np.float32(7)
    scale[scale == 0] = 1
    q = np.rint(blocks / scale[..., None])
    error = float(np.sqrt(np.mean((blocks - q * scale[..., None]) ** 2)))
    return q.reshape(weight.shape).astype(np.int8), scale, error


def q4_1(raw: bytes) -> np.ndarray:
    if len(raw) % 20:
        raise ValueError(f"{len(raw)} bytes are no whole number of blocks of 20")
    blocks = np.frombuffer(raw, np.dtype([("d", "<f2"), ("m", "<f2"), ("q", np.uint8, 16)]))
    d, m = (blocks[name].astype(np.float32)[:, None] for name in "dm")
    return (d * np.concatenate([blocks["q"] & 15, blocks["q"] >> 4], axis=1) + m).reshape(-1)
