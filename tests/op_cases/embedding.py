"""Cases for embedding and dropout."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.dropout import Dropout, dropout, dropout_ref, random_keep
from tinygrad_llm.ops.embedding import Embedding, embedding
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase


def ids_for(x):
    """Ids (2, 3) for a table: some rows never, some several times; none for a table without rows."""
    V = x.shape[0]
    return np.arange(6).reshape(2, 3) ** 2 % V if V else np.zeros((2, 0), int)


def keep_of(x, p):
    return random_keep(x.shape, p, np.random.default_rng(7))


TABLES = shapes(min_dims=2, max_dims=2, max_side=5)

CASES = [
    OpCase(
        "embedding", Embedding,
        lambda weight: embedding(ids_for(weight), weight), lambda weight: weight[ids_for(weight)],
        st.tuples(float_arrays(TABLES)), lambda rng: (rng.standard_normal((4, 3)),),
        lambda torch, weight: torch.nn.functional.embedding(torch.tensor(ids_for(weight)), weight),
        kernels=True,
    ),
    OpCase(
        "embedding-wider-than-a-block", Embedding,
        lambda weight: embedding(ids_for(weight), weight), lambda weight: weight[ids_for(weight)],
        st.tuples(float_arrays((3, 130))), lambda rng: (rng.standard_normal((4, 130)),),
        lambda torch, weight: torch.nn.functional.embedding(torch.tensor(ids_for(weight)), weight),
        kernels=True,
    ),
    *(
        OpCase(
            f"dropout-{p}", Dropout,
            lambda x, p=p: dropout(x, p, rng=np.random.default_rng(7)),
            lambda x, p=p: dropout_ref(x, keep_of(x, p), p),
            st.tuples(float_arrays(shapes())), lambda rng: (rng.standard_normal((3, 4)),),
        )
        for p in (0.1, 0.5, 1.0)
    ),
]  # fmt: skip
