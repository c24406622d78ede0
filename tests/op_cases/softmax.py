import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.softmax import LogSoftmax, Softmax, log_softmax, log_softmax_ref, softmax, softmax_ref
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase


def along(dim, ref):
    return lambda x: np.moveaxis(ref(np.moveaxis(x, dim, -1)), -1, dim)


def one(shape_strategy):
    return float_arrays(shape_strategy).map(lambda x: (x,))


def example(rng):
    return (2 * rng.standard_normal((3, 4, 5)),)


# A row of no scores has no largest one, in plain NumPy an error: the axis itself has at least one element.
LAST = shapes(min_dims=0, max_dims=2).flatmap(lambda s: shapes(1, 1, min_side=1, max_side=6).map(lambda v: s + v))
FIRST = LAST.map(lambda shape: shape[::-1])

CASES = [
    OpCase(
        name="softmax",
        function=Softmax,
        call=softmax,
        ref=softmax_ref,
        inputs=one(LAST),
        example=example,
        torch=lambda torch, x: torch.softmax(x, -1),
        kernels=True,
    ),
    OpCase(
        name="softmax-dim0",
        function=Softmax,
        call=lambda x: softmax(x, dim=0),
        ref=along(0, softmax_ref),
        inputs=one(FIRST),
        example=example,
        torch=lambda torch, x: torch.softmax(x, 0),
        kernels=True,
    ),
    OpCase(
        name="softmax-0d",
        function=Softmax,
        call=softmax,
        ref=lambda x: np.ones(()),
        inputs=one(()),
        example=lambda rng: (rng.standard_normal(()),),
        torch=lambda torch, x: torch.softmax(x, -1),
        kernels=True,
    ),
    OpCase(
        name="log_softmax",
        function=LogSoftmax,
        call=log_softmax,
        ref=log_softmax_ref,
        inputs=one(LAST),
        example=example,
        torch=lambda torch, x: torch.log_softmax(x, -1),
        kernels=True,
    ),
    OpCase(
        name="log_softmax-dim1",
        function=LogSoftmax,
        call=lambda x: log_softmax(x, dim=1),
        ref=along(1, log_softmax_ref),
        inputs=one(LAST.map(lambda shape: (2, shape[-1], *shape[:-1]))),
        example=example,
        torch=lambda torch, x: torch.log_softmax(x, 1),
        kernels=True,
    ),
    *(
        OpCase(
            name=f"{name}-far-from-0",  # e^x alone would overflow
            function=function,
            call=call,
            ref=ref,
            inputs=st.tuples(float_arrays(LAST, -1500, 1500)),
            example=lambda rng: (800 + 2 * rng.standard_normal((3, 4)),),
            kernels=True,
        )
        for name, function, call, ref in (
            ("softmax", Softmax, softmax, softmax_ref),
            ("log_softmax", LogSoftmax, log_softmax, log_softmax_ref),
        )
    ),
]
