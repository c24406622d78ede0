"""Whole models: a frozen config, the wiring, and the initialisation of each."""

from .bert import BERT, BERTConfig
from .gpt import GPT, GPTConfig
from .heads import SpanExtractor, TextClassifier, TextRegressor
from .llama import Llama, LlamaConfig

__all__ = [
    "BERT",
    "GPT",
    "BERTConfig",
    "GPTConfig",
    "Llama",
    "LlamaConfig",
    "SpanExtractor",
    "TextClassifier",
    "TextRegressor",
]
