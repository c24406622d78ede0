"""What `Tensor` can do: each operator and method is a function from the file of its op.

Plain assignments, so that "go to definition" on `Tensor.softmax` leads to the function. The few functions
written out here only turn their arguments round, or answer Python's protocols.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from . import (
    activations,
    arithmetic,
    combine,
    compare,
    creation,
    elementwise,
    extrema,
    gelu,
    indexing,
    logical,
    masking,
    matmul,
    rearrange,
    reduce,
    shape,
    softmax,
)
from .common import cast

# Arithmetic. `x += y` makes a new tensor: Python falls back to x = x + y, since there is no __iadd__.


def _reversed_sub(self, other):
    return arithmetic.sub(other, self)


def _reversed_div(self, other):
    return arithmetic.div(other, self)


def _reversed_pow(self, other):
    return arithmetic.pow(other, self)


def _reversed_matmul(self, other):
    return matmul.matmul(other, self)


Tensor.__add__ = Tensor.__radd__ = Tensor.add = arithmetic.add
Tensor.__sub__ = Tensor.sub = arithmetic.sub
Tensor.__rsub__ = _reversed_sub
Tensor.__mul__ = Tensor.__rmul__ = Tensor.mul = arithmetic.mul
Tensor.__truediv__ = Tensor.div = arithmetic.div
Tensor.__rtruediv__ = _reversed_div
Tensor.__pow__ = Tensor.pow = arithmetic.pow
Tensor.__rpow__ = _reversed_pow
Tensor.__neg__ = Tensor.neg = arithmetic.neg
Tensor.__matmul__ = Tensor.matmul = matmul.matmul
Tensor.__rmatmul__ = _reversed_matmul
Tensor.bmm = matmul.bmm
Tensor.outer = matmul.outer

# Comparisons


def _equal(self, other):
    return NotImplemented if other is None or isinstance(other, str) else compare.eq(self, other)


def _not_equal(self, other):
    return NotImplemented if other is None or isinstance(other, str) else compare.ne(self, other)


Tensor.__eq__ = _equal
Tensor.__ne__ = _not_equal
Tensor.__lt__ = Tensor.lt = compare.lt
Tensor.__le__ = Tensor.le = compare.le
Tensor.__gt__ = Tensor.gt = compare.gt
Tensor.__ge__ = Tensor.ge = compare.ge
Tensor.eq = compare.eq
Tensor.ne = compare.ne
Tensor.maximum = compare.maximum
Tensor.minimum = compare.minimum
Tensor.clamp = compare.clamp

# Element by element

Tensor.__abs__ = Tensor.abs = elementwise.abs
Tensor.exp = elementwise.exp
Tensor.log = elementwise.log
Tensor.log1p = elementwise.log1p
Tensor.sqrt = elementwise.sqrt
Tensor.rsqrt = elementwise.rsqrt
Tensor.square = elementwise.square
Tensor.reciprocal = elementwise.reciprocal
Tensor.sin = elementwise.sin
Tensor.cos = elementwise.cos
Tensor.tanh = elementwise.tanh
Tensor.sigmoid = activations.sigmoid
Tensor.relu = activations.relu
Tensor.leaky_relu = activations.leaky_relu
Tensor.silu = activations.silu
Tensor.softplus = activations.softplus
Tensor.erf = gelu.erf
Tensor.gelu = gelu.gelu

# Masks

Tensor.__and__ = Tensor.__rand__ = Tensor.logical_and = logical.logical_and
Tensor.__or__ = Tensor.__ror__ = Tensor.logical_or = logical.logical_or
Tensor.__invert__ = Tensor.logical_not = logical.logical_not


def _where(self, condition, other):
    return masking.where(condition, self, other)


Tensor.where = _where
Tensor.masked_fill = masking.masked_fill
Tensor.tril = masking.tril
Tensor.triu = masking.triu

# Reductions, and what goes along a dim

Tensor.sum = reduce.sum
Tensor.mean = reduce.mean
Tensor.var = reduce.var
Tensor.std = reduce.std
Tensor.prod = reduce.prod
Tensor.logsumexp = reduce.logsumexp
Tensor.cumsum = reduce.cumsum
Tensor.max = extrema.max
Tensor.min = extrema.min
Tensor.amax = extrema.amax
Tensor.amin = extrema.amin
Tensor.argmax = extrema.argmax
Tensor.argmin = extrema.argmin
Tensor.all = extrema.all
Tensor.any = extrema.any
Tensor.softmax = softmax.softmax
Tensor.log_softmax = softmax.log_softmax

# Shape

Tensor.reshape = shape.reshape
Tensor.view = shape.view
Tensor.flatten = shape.flatten
Tensor.transpose = shape.transpose
Tensor.permute = shape.permute
Tensor.T = property(shape.transposed)
Tensor.mT = property(shape.matrix_transpose)
Tensor.squeeze = shape.squeeze
Tensor.unsqueeze = shape.unsqueeze
Tensor.expand = shape.expand
Tensor.contiguous = shape.contiguous
Tensor.clone = shape.clone
Tensor.repeat = rearrange.repeat
Tensor.flip = rearrange.flip
Tensor.roll = rearrange.roll
Tensor.narrow = combine.narrow
Tensor.split = combine.split
Tensor.chunk = combine.chunk
Tensor.unbind = combine.unbind

# Indexing


def _iterate(self):
    return iter(combine.unbind(self))


Tensor.__getitem__ = indexing.getitem
Tensor.__iter__ = _iterate
Tensor.gather = indexing.gather
Tensor.index_select = indexing.index_select

# Dtypes


def _to(self, dtype):
    """The values in `dtype`, or the tensor itself if it has it already."""
    return cast(self, creation.checked_dtype("to", dtype))


def _float(self):
    return cast(self, np.float32)


def _double(self):
    return cast(self, np.float64)


def _int(self):
    return cast(self, np.int32)


def _long(self):
    return cast(self, np.int64)


def _bool(self):
    return cast(self, np.bool_)


def _array(self, dtype=None, copy=None):
    """For `np.asarray(x)`: the ndarray itself where nothing else is asked for. Raises what numpy() raises."""
    array = self.numpy()
    return array.astype(dtype or array.dtype) if copy or dtype not in (None, array.dtype) else array


Tensor.to = _to
Tensor.float = _float
Tensor.double = _double
Tensor.int = _int
Tensor.long = _long
Tensor.bool = _bool
Tensor.__array__ = _array
