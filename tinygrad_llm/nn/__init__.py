"""Layers, under PyTorch's names and with PyTorch's results for the same weights."""

from .activation import GELU, ReLU
from .attention import CausalSelfAttention
from .block import PostNormBlock, PreNormBlock
from .container import ModuleList, Sequential
from .dropout import Dropout
from .embedding import Embedding
from .encoder import TransformerEncoder, TransformerEncoderLayer
from .feed_forward import FeedForward
from .kv_cache import KVCache, LayerCache
from .linear import Linear
from .module import Module, Parameter
from .multihead_attention import MultiheadAttention
from .norm import LayerNorm, RMSNorm

__all__ = [
    "GELU",
    "CausalSelfAttention",
    "Dropout",
    "Embedding",
    "FeedForward",
    "KVCache",
    "LayerCache",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "PostNormBlock",
    "PreNormBlock",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
