"""`--lora-rank`: what the finetune commands have in common where they train adapters."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..hub import save_adapter
from ..models import BERT, GPT, Llama
from ..nn import add_lora, lora_layers, merge, remove_lora
from ..nn.quantized import dequantize, is_quantized
from ..train.fine_tuned import save_base

ADAPTER = "adapter"


def adapt(base: GPT | BERT | Llama, arguments: argparse.Namespace, seed: int) -> None:
    """Give the base adapters where they were asked for."""
    if arguments.lora_rank:
        rng = np.random.default_rng(seed)
        add_lora(base, arguments.lora_rank, arguments.lora_alpha or 2 * arguments.lora_rank, rng=rng)


def save_adapted(base: GPT | BERT | Llama, tokenizer, folder: Path, name: str) -> None:
    """The adapters alone, where there are any, and the whole model with them merged in. `name` is that of the base."""
    if lora_layers(base):
        save_adapter(base, folder / ADAPTER, name)
        without_adapters(base)
    save_base(base, tokenizer, folder)


def without_adapters(base: GPT | BERT | Llama) -> None:
    """Plain layers, with the corrections in their weights."""
    if is_quantized(base):
        dequantize(base)  # bytes could not take up the corrections
    remove_lora(merge(base))


def require_lora(arguments: argparse.Namespace) -> None:
    if arguments.lora_rank < 0 or (arguments.lora_alpha is not None and not arguments.lora_rank):
        raise ValueError("--lora-rank must be at least 0, and --lora-alpha goes with a rank above that")
