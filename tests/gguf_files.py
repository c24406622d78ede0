"""Writes small GGUF files for the tests, by the specification, and decodes their blocks weight by weight."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm.models import Llama
from tinygrad_llm.text import BPETokenizer
from tinygrad_llm.text.byte_alphabet import to_visible

NUMBERS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8}
CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value_of(value: Any) -> bytes:
    """Type and value of a setting."""
    if isinstance(value, list):
        kinds = {str: (8, text), int: (5, lambda each: struct.pack("<i", each))}
        number, write = kinds[type(value[0])] if value else (8, text)
        return struct.pack("<IIQ", 9, number, len(value)) + b"".join(map(write, value))
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<I", 8) + text(value)


def encode(array: np.ndarray, kind: str) -> bytes:
    """The bytes of a tensor, rounded to the kind."""
    if kind == "F32":
        return array.astype("<f4").tobytes()
    if kind == "F16":
        return array.astype("<f2").tobytes()
    return b"".join(encode_block(block, kind) for block in array.reshape(-1, 32))


def encode_block(block: np.ndarray, kind: str) -> bytes:
    if kind == "Q8_0":
        d = np.float16(np.abs(block).max() / 127)
        return d.tobytes() + np.rint(block / max(np.float32(d), 1e-8)).clip(-128, 127).astype(np.int8).tobytes()
    if kind == "Q4_0":
        d, low = np.float16(np.abs(block).max() / 7), None
        q = np.rint(block / max(np.float32(d), 1e-8)).clip(-8, 7) + 8
    else:
        d, low = np.float16((block.max() - block.min()) / 15), np.float16(block.min())
        q = np.rint((block - np.float32(low)) / max(np.float32(d), 1e-8)).clip(0, 15)
    q = q.astype(np.uint8)
    return d.tobytes() + (b"" if low is None else low.tobytes()) + (q[:16] | q[16:] << 4).tobytes()


def decode(raw: bytes, kind: str) -> list[float]:
    """The weights one after another, as the specification tells."""
    sizes = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20}
    weights = []
    for start in range(0, len(raw), sizes[kind]):
        block = raw[start : start + sizes[kind]]
        d = struct.unpack("<e", block[:2])[0]
        if kind == "Q8_0":
            weights += [d * q for q in struct.unpack("<32b", block[2:])]
            continue
        low = struct.unpack("<e", block[2:4])[0] if kind == "Q4_1" else -8 * d
        q = block[4 if kind == "Q4_1" else 2 :]
        weights += [d * (byte & 15) + low for byte in q] + [d * (byte >> 4) + low for byte in q]
    return weights


def write_gguf(
    path: Path, settings: Mapping[str, Any], tensors: Mapping[str, tuple[np.ndarray, str]], alignment: int = 32
) -> Path:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings))
    head += b"".join(text(name) + value_of(value) for name, value in settings.items())
    data = b""
    for name, (array, kind) in tensors.items():
        shape = array.shape[::-1]
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, NUMBERS[kind], len(data))
        data += encode(array, kind)
        data += bytes(-len(data) % alignment)
    path.write_bytes(head + bytes(-len(head) % alignment) + data)
    return path


def settings_of(model: Llama, tokenizer: BPETokenizer | None = None) -> dict[str, Any]:
    c = model.config
    settings = {
        "general.architecture": "llama",
        "llama.block_count": c.n_layers,
        "llama.context_length": c.max_seq_len,
        "llama.embedding_length": c.d_model,
        "llama.feed_forward_length": c.d_ff,
        "llama.attention.head_count": c.n_heads,
        "llama.attention.head_count_kv": c.n_kv_heads,
        "llama.rope.freq_base": c.rope_theta,
        "llama.rope.dimension_count": c.head_dim,
        "llama.attention.layer_norm_rms_epsilon": c.rms_norm_eps,
    }
    if tokenizer is None:
        return settings
    names = [to_visible(token) for token in tokenizer.tokens]
    for name, token_id in tokenizer.special_tokens.items():
        names[token_id] = name
    return settings | {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm" if tokenizer.split_digits else "gpt-2",
        "tokenizer.ggml.tokens": names,
        "tokenizer.ggml.token_type": [3 if name in tokenizer.special_tokens else 1 for name in names],
        "tokenizer.ggml.merges": [f"{names[left]} {names[right]}" for left, right in tokenizer.merges],
        "tokenizer.chat_template": CHATML,
    }


def tensors_of(model: Llama, kind: str = "F32") -> dict[str, tuple[np.ndarray, str]]:
    """Under the names of llama.cpp, with rows of queries and keys in its order; vectors are always float32."""
    places = {"norm1": "attn_norm", "norm2": "ffn_norm", "attention.out": "attn_output", "attention.query": "attn_q"}
    places |= {"attention.key": "attn_k", "attention.value": "attn_v"}
    places |= {f"feed_forward.{name}": f"ffn_{name}" for name in ("gate", "up", "down")}
    tensors = {}
    for name, parameter in model.named_parameters():
        array = parameter.data
        if name.startswith("blocks."):
            _, number, place = name.removesuffix(".weight").split(".", 2)
            if place in ("attention.query", "attention.key"):
                array = (
                    array.reshape(-1, 2, model.config.head_dim // 2, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
                )
            name = f"blk.{number}.{places[place]}.weight"
        else:
            name = {"token_embedding": "token_embd", "norm": "output_norm", "head": "output"}[
                name.split(".")[0]
            ] + ".weight"
        tensors[name] = array, kind if array.ndim == 2 else "F32"
    return tensors
