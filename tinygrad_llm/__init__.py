"""An educational LLM framework from scratch: NumPy autograd, Numba kernels, hand-built Transformers.

    import tinygrad_llm as tg
    import tinygrad_llm.functional as F

    x = tg.tensor([[1.0, 2.0, 4.0]], requires_grad=True)
    F.softmax(x, dim=-1)[0, 2].log().backward()
    print(x.grad)

The names are PyTorch's: `tg.exp` is what `torch.exp` is, `tg.nn` holds the layers, `tg.optim` the optimizers.
"""

from .autograd import Tensor, checkpoint, detect_anomaly, enable_grad, is_grad_enabled, no_grad, tensor
from .kernel import no_jit, set_jit
from .memory import keep_freed_memory
from .ops import operators as _operators  # noqa: F401  (gives Tensor its operators)
from .ops.activations import relu, sigmoid
from .ops.arithmetic import add, div, mul, neg, pow, sub
from .ops.combine import cat, chunk, narrow, split, stack, unbind
from .ops.compare import clamp, eq, ge, gt, le, lt, maximum, minimum, ne
from .ops.creation import (
    arange,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    zeros,
    zeros_like,
)
from .ops.elementwise import abs, cos, exp, log, log1p, reciprocal, rsqrt, sin, sqrt, square, tanh
from .ops.extrema import all, amax, amin, any, argmax, argmin, max, min
from .ops.gelu import erf
from .ops.indexing import gather, index_select
from .ops.logical import logical_and, logical_not, logical_or
from .ops.masking import masked_fill, tril, triu, where
from .ops.matmul import bmm, matmul, matmul_backend, outer, set_matmul
from .ops.rearrange import flip, roll
from .ops.reduce import cumsum, logsumexp, mean, prod, std, sum, var
from .ops.shape import clone, flatten, permute, reshape, squeeze, transpose, unsqueeze
from .ops.softmax import log_softmax, softmax

# These stand on the ops above.
from . import functional, nn, optim  # isort: skip

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "__version__",
    "abs",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "bmm",
    "cat",
    "checkpoint",
    "chunk",
    "clamp",
    "clone",
    "cos",
    "cumsum",
    "detect_anomaly",
    "div",
    "enable_grad",
    "eq",
    "erf",
    "exp",
    "eye",
    "flatten",
    "flip",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "gather",
    "ge",
    "gt",
    "index_select",
    "is_grad_enabled",
    "le",
    "linspace",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "lt",
    "masked_fill",
    "matmul",
    "matmul_backend",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mul",
    "narrow",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "no_jit",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "permute",
    "pow",
    "prod",
    "rand",
    "randint",
    "randn",
    "reciprocal",
    "relu",
    "reshape",
    "roll",
    "rsqrt",
    "set_jit",
    "set_matmul",
    "sigmoid",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "tanh",
    "tensor",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unsqueeze",
    "var",
    "where",
    "zeros",
    "zeros_like",
]

keep_freed_memory()
