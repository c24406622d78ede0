"""`F`: the ops a model is made of, under the names they have in torch.nn.functional.

    import tinygrad_llm.functional as F
    F.softmax(scores, dim=-1)

What PyTorch keeps in `torch` itself (exp, sum, matmul, cat …) is in `tinygrad_llm`, and a method of `Tensor`.
"""

from .ops.activations import leaky_relu, relu, sigmoid, silu, softplus
from .ops.attention import qkv_attention, scaled_dot_product_attention
from .ops.block_linear import block_linear
from .ops.cross_entropy import cross_entropy
from .ops.dropout import dropout
from .ops.elementwise import tanh
from .ops.embedding import embedding
from .ops.gelu import gelu
from .ops.int8_linear import int8_linear
from .ops.layer_norm import layer_norm
from .ops.linear import linear
from .ops.linear_cross_entropy import linear_cross_entropy
from .ops.losses import binary_cross_entropy_with_logits, kl_div, mse_loss, nll_loss
from .ops.rms_norm import rms_norm
from .ops.rope import rotary_embedding
from .ops.softmax import log_softmax, softmax

__all__ = [
    "binary_cross_entropy_with_logits",
    "block_linear",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "int8_linear",
    "kl_div",
    "layer_norm",
    "leaky_relu",
    "linear",
    "linear_cross_entropy",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "qkv_attention",
    "relu",
    "rms_norm",
    "rotary_embedding",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
