"""Models in Hugging Face's folder layout, read and written: GPT-2, BERT and Llama."""

from .pretrained import Pretrained, load_pretrained, save_pretrained
from .sentence_transformers import Pooling

__all__ = ["Pooling", "Pretrained", "load_pretrained", "save_pretrained"]
