"""gelu and erf: the normal distribution as an activation.

Forward    gelu(x) = x Φ(x),  Φ(x) = ½ (1 + erf(x/√2)): x times the chance that a normal variable is below x
           gelu_tanh(x) = ½ x (1 + tanh u) = x σ(2u),  u = √(2/π) (x + 0.044715 x³): GPT-2's approximation
Backward   dx = dout (Φ(x) + x φ(x)),  φ(x) = e^(−x²/2) / √(2π)
           dx = dout (σ + x σ (1 − σ) 2u'),  σ = σ(2u)
Shapes     any; the kernels get all elements in one row
Saved      x; the rest is computed again, which costs less than to write and read it
Lesson     12_transformer_block
Source     Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016

float32 takes polynomials, which compile to vector instructions; float64, made for checks, `math.erf` itself.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import as_float, require_float
from .fast_math import exp_float32, fast_exp

FEW = 1 << 14  # elements that one thread has done before another is awake


def erf_ref(x: np.ndarray) -> np.ndarray:
    return np.array([math.erf(v) for v in x.reshape(-1)], x.dtype).reshape(x.shape)


def gelu_ref(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf_ref(x / math.sqrt(2)))


def gelu_tanh_ref(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@kernel
def normal_tail(t):
    """(Φ(−t), φ(t)) for a float32 t ≥ 0. Their ratio is a polynomial in s = 1/(1 + 0.21 t).

    Abramowitz and Stegun's form 26.2.17 with more terms, our own minimax fit: relative error below 5e-7 where
    e^(−t²/2) is exact.
    """
    e = exp_float32(np.float32(-0.5) * t * t)
    s = np.float32(1.0) / (np.float32(1.0) + np.float32(0.21) * t)
    p = np.float32(-7.211134290e-2)
    p = p * s + np.float32(2.858356217e-1)
    p = p * s + np.float32(-3.349972733e-1)
    p = p * s + np.float32(3.549856991e-1)
    p = p * s + np.float32(-9.792968473e-2)
    p = p * s + np.float32(1.266614389e-1)
    p = p * s + np.float32(6.870662872e-2)
    p = p * s + np.float32(8.514202429e-2)
    p = p * s + np.float32(8.370688866e-2)
    return e * p * s, e * np.float32(0.3989422804014327)


@kernel
def normal_cdf_pdf(x):
    """(Φ(x), φ(x)) in x's own dtype."""
    if isinstance(x, np.float32):
        tail, pdf = normal_tail(abs(x))
        if x > np.float32(0.0):
            tail = np.float32(1.0) - tail
        return tail, pdf
    return 0.5 * math.erfc(-x * 0.7071067811865476), 0.3989422804014327 * math.exp(-0.5 * x * x)


@kernel
def fast_erf(x):
    """erf of a scalar in x's own dtype. Near 0 a power series (own fit), further out 1 − 2 Φ(−√2 |x|)."""
    if isinstance(x, np.float32):
        z = min(x * x, np.float32(1.0))
        p = np.float32(7.853861225e-5)
        p = p * z + np.float32(-8.010193586e-4)
        p = p * z + np.float32(5.188327681e-3)
        p = p * z + np.float32(-2.685381193e-2)
        p = p * z + np.float32(1.128358515e-1)
        p = p * z + np.float32(-3.761262582e-1)
        p = p * z + np.float32(1.128379166)
        tail, _ = normal_tail(abs(x) * np.float32(1.4142135623730951))
        far = np.float32(1.0) - np.float32(2.0) * tail
        result = p * x
        if x > np.float32(1.0):
            result = far
        if x < np.float32(-1.0):
            result = -far
        return result
    return math.erf(x)


@kernel
def gelu_tanh_sigmoid(x):
    """(σ(2u), d(2u)/dx) with 2u = √(8/π) (x + 0.044715 x³). ½ (1 + tanh u) = σ(2u) = 1 / (1 + e^(−2u))."""
    one = type(x)(1.0)
    a, b = type(x)(1.5957691216057308), type(x)(0.044715 * 1.5957691216057308)
    xx = x * x
    sigma = one / (one + fast_exp(-x * (a + b * xx)))
    return sigma, a + type(x)(3.0) * b * xx


@kernel(parallel=True)
def erf_forward(out, x):
    for i in prange(x.size):
        out[i] = fast_erf(x[i])


@kernel(parallel=True)
def gelu_forward(out, x):
    for i in prange(x.size):
        cdf, _ = normal_cdf_pdf(x[i])
        out[i] = x[i] * cdf


@kernel(parallel=True)
def gelu_backward(dx, dout, x):
    """Forward was out = x Φ(x), and Φ' = φ; so now dx = dout (Φ + x φ)."""
    for i in prange(x.size):
        cdf, pdf = normal_cdf_pdf(x[i])
        dx[i] = dout[i] * (cdf + x[i] * pdf)


@kernel(parallel=True)
def gelu_tanh_forward(out, x):
    if x.size < FEW:
        for i in range(x.size):
            sigma, _ = gelu_tanh_sigmoid(x[i])
            out[i] = x[i] * sigma
    else:
        for i in prange(x.size):
            sigma, _ = gelu_tanh_sigmoid(x[i])
            out[i] = x[i] * sigma


@kernel(parallel=True)
def gelu_tanh_backward(dx, dout, x):
    """Forward was out = x σ(v); so now dx = dout (σ + x σ' v'), σ' = σ (1 − σ)."""
    for i in prange(x.size):
        sigma, dv = gelu_tanh_sigmoid(x[i])
        dx[i] = dout[i] * sigma * (x.dtype.type(1.0) + x[i] * dv * (x.dtype.type(1.0) - sigma))


class Erf(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        erf_forward(out.reshape(-1), x.ravel())
        return out, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout * (np.exp(-x * x) * x.dtype.type(2 / math.sqrt(math.pi))),)


class Gelu(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        gelu_forward(out.reshape(-1), x.ravel())
        return out, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        dx = np.empty(x.shape, x.dtype)
        gelu_backward(dx.reshape(-1), dout.ravel(), x.ravel())
        return (dx,)


class GeluTanh(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        gelu_tanh_forward(out.reshape(-1), x.ravel())
        return out, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        dx = np.empty(x.shape, x.dtype)
        gelu_tanh_backward(dx.reshape(-1), dout.ravel(), x.ravel())
        return (dx,)


def erf(x: Tensor) -> Tensor:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt, element by element. Integers become float32."""
    x = as_float("erf", x)
    out, saved = Erf.forward(x.data)
    return Erf.record(out, saved, x)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x) for each element x: nearly 0 for negative x, nearly x for positive, smooth between.

    `approximate="tanh"` is the form that GPT-2 was trained with; it differs by at most 5e-4.
    Raises TypeError where `input` is not floating point, ValueError for another `approximate`.

    >>> gelu(tensor([-1.0, 0.0, 1.0])).tolist()
    [-0.15865..., 0.0, 0.84134...]
    """
    require_float("gelu", input)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}.")
    function = Gelu if approximate == "none" else GeluTanh
    out, saved = function.forward(input.data)
    return function.record(out, saved, input)
