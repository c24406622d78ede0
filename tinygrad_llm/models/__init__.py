"""Whole models: a frozen config, the wiring, and the initialisation of each."""

from .gpt import GPT, GPTConfig

__all__ = ["GPT", "GPTConfig"]
