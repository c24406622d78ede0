"""Layers, under PyTorch's names and with PyTorch's results for the same weights."""

from .activation import GELU, ReLU, SiLU
from .attention import CausalSelfAttention
from .bidirectional_attention import BidirectionalSelfAttention
from .block import PostNormBlock, PreNormBlock
from .container import ModuleDict, ModuleList, Sequential
from .dropout import Dropout
from .embedding import Embedding
from .encoder import TransformerEncoder, TransformerEncoderLayer
from .feed_forward import FeedForward
from .gated_feed_forward import GatedFeedForward
from .grouped_query_attention import GroupedQueryAttention
from .kv_cache import KVCache, LayerCache
from .linear import Linear
from .module import Module, Parameter
from .multihead_attention import MultiheadAttention
from .norm import LayerNorm, RMSNorm
from .rotary import LinearScaling, Llama3Scaling, RotaryEmbedding

__all__ = [
    "GELU",
    "BidirectionalSelfAttention",
    "CausalSelfAttention",
    "Dropout",
    "Embedding",
    "FeedForward",
    "GatedFeedForward",
    "GroupedQueryAttention",
    "KVCache",
    "LayerCache",
    "LayerNorm",
    "Linear",
    "LinearScaling",
    "Llama3Scaling",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "PostNormBlock",
    "PreNormBlock",
    "RMSNorm",
    "ReLU",
    "RotaryEmbedding",
    "Sequential",
    "SiLU",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
