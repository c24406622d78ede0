from hypothesis import strategies as st

from tinygrad_llm.ops.layer_norm import LayerNorm, layer_norm, layer_norm_ref
from tinygrad_llm.ops.rms_norm import RMSNorm, rms_norm, rms_norm_ref
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase

# A larger eps than usual: rows drawn all equal then have slopes that central differences can still see.
EPS = 0.1
N_ROWS_OF_MANY_CHUNKS = 70


def arrays(n_parameters, normalized_dims=1):
    """An input (…, *normalized_shape), and parameters of normalized_shape; empty axes among them."""
    normalized = shapes(normalized_dims, normalized_dims, min_side=1, max_side=5)
    return st.tuples(shapes(max_dims=2), normalized).flatmap(
        lambda two: st.tuples(float_arrays(two[0] + two[1]), *(float_arrays(two[1]) for _ in range(n_parameters)))
    )


def example(rng):
    n, c = N_ROWS_OF_MANY_CHUNKS, 5
    return 1 + 2 * rng.standard_normal((n, c)), rng.standard_normal(c), rng.standard_normal(c)


CASES = [
    OpCase(
        name="layer_norm",
        function=LayerNorm,
        call=lambda x, w, b: layer_norm(x, w.shape, w, b, EPS),
        ref=lambda x, w, b: layer_norm_ref(x, w.shape, w, b, EPS),
        inputs=arrays(2),
        example=example,
        torch=lambda torch, x, w, b: torch.nn.functional.layer_norm(x, w.shape, w, b, EPS),
        kernels=True,
    ),
    OpCase(
        name="layer_norm-two-dims-no-bias",
        function=LayerNorm,
        call=lambda x, w: layer_norm(x, w.shape, w, eps=EPS),
        ref=lambda x, w: layer_norm_ref(x, w.shape, w, eps=EPS),
        inputs=arrays(1, normalized_dims=2),
        example=lambda rng: (rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 4))),
        torch=lambda torch, x, w: torch.nn.functional.layer_norm(x, w.shape, w, eps=EPS),
        kernels=True,
    ),
    OpCase(
        name="layer_norm-plain",
        function=LayerNorm,
        call=lambda x: layer_norm(x, x.shape[-1], eps=EPS),
        ref=lambda x: layer_norm_ref(x, x.shape[-1:], eps=EPS),
        inputs=arrays(0),
        example=lambda rng: (rng.standard_normal((3, 7)),),
        torch=lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[-1:], eps=EPS),
        kernels=True,
    ),
    OpCase(
        name="rms_norm",
        function=RMSNorm,
        call=lambda x, w: rms_norm(x, w.shape, w, EPS),
        ref=lambda x, w: rms_norm_ref(x, w.shape, w, EPS),
        inputs=arrays(1),
        example=lambda rng: example(rng)[:2],
        torch=lambda torch, x, w: torch.nn.functional.rms_norm(x, w.shape, w, EPS),
        kernels=True,
    ),
    OpCase(
        name="rms_norm-two-dims",
        function=RMSNorm,
        call=lambda x: rms_norm(x, x.shape[-2:], eps=EPS),
        ref=lambda x: rms_norm_ref(x, x.shape[-2:], eps=EPS),
        inputs=arrays(0, normalized_dims=2),
        example=lambda rng: (rng.standard_normal((2, 3, 4)),),
        torch=lambda torch, x: torch.nn.functional.rms_norm(x, x.shape[-2:], eps=EPS),
        kernels=True,
    ),
]
