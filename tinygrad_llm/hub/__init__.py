"""Models in Hugging Face's folder layout, read and written: GPT-2, BERT and Llama; and a Llama in a GGUF file."""

from .adapters import load_adapter, save_adapter
from .model_card import refresh_card
from .pretrained import Pretrained, chat_template_of, load_pretrained, save_pretrained
from .sentence_transformers import Pooling

__all__ = [
    "Pooling",
    "Pretrained",
    "chat_template_of",
    "load_adapter",
    "load_pretrained",
    "refresh_card",
    "save_adapter",
    "save_pretrained",
]
