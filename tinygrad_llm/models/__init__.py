"""Whole models: a frozen config, the wiring, and the initialisation of each."""

from .bert import BERT, BERTConfig
from .decoder import resize_token_embeddings
from .gpt import GPT, GPTConfig
from .heads import SpanExtractor, TextClassifier, TextRegressor
from .llama import Llama, LlamaConfig
from .seq2seq import Seq2Seq, Seq2SeqConfig

__all__ = [
    "BERT",
    "GPT",
    "BERTConfig",
    "GPTConfig",
    "Llama",
    "LlamaConfig",
    "Seq2Seq",
    "Seq2SeqConfig",
    "SpanExtractor",
    "TextClassifier",
    "TextRegressor",
    "resize_token_embeddings",
]
