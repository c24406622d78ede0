"""Solutions of lesson 22."""

import numpy as np


def render_chatml(messages: list[tuple[str, str]], add_generation_prompt: bool = False) -> str:
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def inputs_and_targets(pieces: list[tuple[list[int], bool]]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([token for piece, _ in pieces for token in piece])
    learned = np.array([is_learned for piece, is_learned in pieces for _ in piece], dtype=bool)
    return ids[:-1], np.where(learned[1:], ids[1:], -100)


def packed_mask(lengths: list[int], row_length: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = [*lengths, *[1] * (row_length - sum(lengths))]  # padding: documents of one token
    document = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.array([position for length in lengths for position in range(length)])
    return positions, (document[:, None] == document) & np.tri(row_length, dtype=bool)


def lora_numbers(
    n_layers: int, d_model: int, n_heads: int, n_kv_heads: int, d_ff: int, ranks: dict[str, int]
) -> tuple[int, int]:
    kv = d_model // n_heads * n_kv_heads
    sizes = {"query": (d_model, d_model), "key": (d_model, kv), "value": (d_model, kv), "out": (d_model, d_model)}
    sizes |= dict.fromkeys(("gate", "up", "down"), (d_model, d_ff))
    trained = sum(ranks.get(name, 0) * sum(size) for name, size in sizes.items())
    return n_layers * trained, n_layers * sum(n_in * n_out for n_in, n_out in sizes.values())


def lora(
    x: np.ndarray, W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    scale, low = alpha / len(A), x @ A.T  # (N, r)
    y = x @ W.T + scale * low @ B.T
    return y, W + scale * B @ A, scale * (g @ B).T @ x, scale * g.T @ low
