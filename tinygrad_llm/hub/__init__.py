"""Models in Hugging Face's folder layout, read and written: GPT-2, BERT and Llama."""

from .adapters import load_adapter, save_adapter
from .pretrained import Pretrained, load_pretrained, save_pretrained
from .sentence_transformers import Pooling

__all__ = ["Pooling", "Pretrained", "load_adapter", "load_pretrained", "save_adapter", "save_pretrained"]
