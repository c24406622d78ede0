"""Cases for sums, means, variances, products, extrema and running sums: over all, one or several dims."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops import extrema, reduce
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase

# (the suffix of the case's name, dim, keepdim, strategy of shapes that have such dims)
OVER = [
    ("", None, False, lambda side: shapes(min_side=side)),
    ("-last", -1, False, lambda side: shapes(min_dims=1, max_dims=2).flatmap(lambda s: last(s, side))),
    ("-keepdim", 0, True, lambda side: shapes(min_dims=1, max_dims=2).flatmap(lambda s: first(s, side))),
    ("-two", (0, -1), False, lambda side: shapes(min_dims=2, min_side=side)),
]


def last(shape, min_side):
    return st.integers(min_side, 5).map(lambda n: (*shape, n))


def first(shape, min_side):
    return st.integers(min_side, 5).map(lambda n: (n, *shape))


def example(rng):
    return (rng.standard_normal((2, 3, 4)),)


def over_dims(name, function, call, ref, min_side=0, low=-3.0, high=3.0, suffixes=None, torch=None, **more):
    """The cases of one op: `call` and `torch` get (x, dim, keepdim), `ref` (x, axis, keepdims)."""
    return [
        OpCase(
            name=name + suffix,
            function=function,
            call=lambda x, d=dim, k=keepdim: call(x, d, k),
            ref=lambda x, d=dim, k=keepdim: ref(x, axis=d, keepdims=k),
            inputs=st.tuples(float_arrays(strategy(min_side), low, high)),
            example=example,
            torch=torch and (lambda torch_module, x, d=dim, k=keepdim: torch(torch_module, x, d, k)),
            **{key: (lambda x, value=value, d=dim: value(x, d)) for key, value in more.items()},
        )
        for suffix, dim, keepdim, strategy in OVER
        if suffixes is None or suffix in suffixes
    ]


def varies(x, axis):
    return bool(np.all(np.std(x, axis=axis) > 0.1)) if x.size else True


def no_ties(x, axis):
    """Whether one element alone is the largest, and one the smallest, of those that are compared."""
    largest, smallest = x.max(axis, keepdims=True), x.min(axis, keepdims=True)
    return all(np.all(np.sum(x == chosen, axis) == 1) for chosen in (largest, smallest))


def logsumexp_ref(x, axis, keepdims):
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def every_dim(x, dim):
    return tuple(range(x.ndim)) if dim is None else dim


CASES = [
    *over_dims("sum", reduce.Sum, reduce.sum, np.sum, torch=lambda t, x, d, k: t.sum(x, d, k)),
    *over_dims("mean", reduce.Mean, reduce.mean, np.mean, 1, torch=lambda t, x, d, k: t.mean(x, d, k)),
    *over_dims(
        "var",
        reduce.Var,
        lambda x, d, k: reduce.var(x, d, keepdim=k),
        lambda x, axis, keepdims: np.var(x, axis=axis, ddof=1, keepdims=keepdims),
        2,
        suffixes=("-last", "-keepdim", "-two"),
        torch=lambda t, x, d, k: t.var(x, d, keepdim=k),
    ),
    *over_dims(
        "var-population",
        reduce.Var,
        lambda x, d, k: reduce.var(x, d, correction=0, keepdim=k),
        np.var,
        1,
        torch=lambda t, x, d, k: t.var(x, d, correction=0, keepdim=k),
    ),
    *over_dims(
        "std",
        reduce.Std,
        lambda x, d, k: reduce.std(x, d, keepdim=k),
        lambda x, axis, keepdims: np.std(x, axis=axis, ddof=1, keepdims=keepdims),
        2,
        suffixes=("-last", "-keepdim", "-two"),
        torch=lambda t, x, d, k: t.std(x, d, keepdim=k),
        differentiable_at=varies,
    ),
    *over_dims(
        "std-population",
        reduce.Std,
        lambda x, d, k: reduce.std(x, d, correction=0, keepdim=k),
        np.std,
        1,
        torch=lambda t, x, d, k: t.std(x, d, correction=0, keepdim=k),
        differentiable_at=varies,
    ),
    *over_dims(
        "prod",
        reduce.Prod,
        reduce.prod,
        np.prod,
        low=-1.5,
        high=1.5,
        suffixes=("", "-last", "-keepdim"),
        torch=lambda t, x, d, k: x.prod() if d is None else x.prod(d, k),
    ),
    *over_dims("prod", reduce.Prod, reduce.prod, np.prod, low=-1.5, high=1.5, suffixes=("-two",)),
    *over_dims(
        "logsumexp",
        reduce.LogSumExp,
        reduce.logsumexp,
        logsumexp_ref,
        1,
        torch=lambda t, x, d, k: t.logsumexp(x, every_dim(x, d), k),
    ),
    *over_dims(
        "amax",
        extrema.Amax,
        extrema.amax,
        np.max,
        1,
        torch=lambda t, x, d, k: t.amax(x, every_dim(x, d), k),
        differentiable_at=no_ties,
    ),
    *over_dims(
        "amin",
        extrema.Amin,
        extrema.amin,
        np.min,
        1,
        torch=lambda t, x, d, k: t.amin(x, every_dim(x, d), k),
        differentiable_at=no_ties,
    ),
    *(
        OpCase(
            name=f"cumsum{dim}",
            function=reduce.CumSum,
            call=lambda x, d=dim: reduce.cumsum(x, d),
            ref=lambda x, d=dim: np.cumsum(x, axis=d).reshape(x.shape),
            inputs=st.tuples(float_arrays(shapes(min_dims=1 if dim == 0 else 0))),
            example=example,
            torch=lambda torch, x, d=dim: torch.cumsum(x, d),
        )
        for dim in (0, -1)
    ),
]
