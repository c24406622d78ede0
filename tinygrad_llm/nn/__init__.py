"""Layers, under PyTorch's names and with PyTorch's results for the same weights."""

from .activation import GELU, ReLU, SiLU
from .attention import CausalSelfAttention
from .bidirectional_attention import BidirectionalSelfAttention
from .block import PostNormBlock, PreNormBlock
from .block_quantized import BlockEmbedding, BlockLinear
from .container import ModuleDict, ModuleList, Sequential
from .cross_attention import CrossAttention
from .decoder_block import DecoderBlock
from .decoder_cache import DecoderCache, SourceCache
from .dropout import Dropout
from .embedding import Embedding
from .encoder import TransformerEncoder, TransformerEncoderLayer
from .feed_forward import FeedForward
from .gated_feed_forward import GatedFeedForward
from .grouped_query_attention import GroupedQueryAttention
from .kv_cache import KVCache, LayerCache
from .linear import Linear
from .lora import (
    LoRALinear,
    add_lora,
    lora_layers,
    lora_parameters,
    merge,
    num_trainable,
    remove_lora,
    unmerge,
    without_lora,
)
from .module import Module, Parameter
from .multihead_attention import MultiheadAttention
from .norm import LayerNorm, RMSNorm
from .quantized import QuantizedEmbedding, QuantizedLinear, dequantize, quantize, weight_bytes
from .rotary import LinearScaling, Llama3Scaling, RotaryEmbedding

__all__ = [
    "GELU",
    "BidirectionalSelfAttention",
    "BlockEmbedding",
    "BlockLinear",
    "CausalSelfAttention",
    "CrossAttention",
    "DecoderBlock",
    "DecoderCache",
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
    "LoRALinear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "PostNormBlock",
    "PreNormBlock",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "RMSNorm",
    "ReLU",
    "RotaryEmbedding",
    "Sequential",
    "SiLU",
    "SourceCache",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "add_lora",
    "dequantize",
    "lora_layers",
    "lora_parameters",
    "merge",
    "num_trainable",
    "quantize",
    "remove_lora",
    "unmerge",
    "weight_bytes",
    "without_lora",
]
