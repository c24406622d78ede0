import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.cross_entropy import CrossEntropy, SoftCrossEntropy, cross_entropy, cross_entropy_ref
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase


def classes(shape):
    """Target classes for an input of this shape (N, C, …): every third is -100, which is ignored by default."""
    targets = (7 * np.arange(np.prod((*shape[:1], *shape[2:]), dtype=int)) + 1) % shape[1]
    targets[2::3] = -100
    return targets.reshape(*shape[:1], *shape[2:])


def weights(shape):
    return np.linspace(0.5, 2.0, shape[1])


def ref_of_classes(x, **options):
    """cross_entropy_ref for any (N, C, …)."""
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    losses = cross_entropy_ref(rows, classes(x.shape).reshape(-1), **options)
    return losses.reshape(classes(x.shape).shape) if losses.ndim else losses


def ref_of_probabilities(x, target, weight, reduction, label_smoothing):
    """The definition: each class's probability times its weight times the loss if it alone were the target."""
    total = np.zeros((x.shape[0], *x.shape[2:]))
    smoothed = (1 - label_smoothing) * target + label_smoothing / x.shape[1]
    for c in range(x.shape[1]):
        rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
        if_c = cross_entropy_ref(rows, np.full(len(rows), c), reduction="none").reshape(total.shape)
        total += weight[c] * smoothed[:, c] * if_c
    return total if reduction == "none" else total.mean()


def one(shape_strategy):
    return float_arrays(shape_strategy).map(lambda x: (x,))


ROWS = st.tuples(st.integers(1, 5), st.integers(1, 20))
# With empty batches and empty further dims; there is always a class.
ANY = shapes(min_dims=0, max_dims=2).flatmap(
    lambda further: st.tuples(st.integers(0, 4), st.integers(1, 6)).map(lambda rows: rows + further)
)
OPTIONS = {"reduction": "none", "label_smoothing": 0.2}

CASES = [
    OpCase(
        name="cross_entropy",
        function=CrossEntropy,
        call=lambda x: cross_entropy(x, Tensor(classes(x.shape))),
        ref=ref_of_classes,
        inputs=one(ROWS),
        example=lambda rng: (2 * rng.standard_normal((40, 21)),),
        torch=lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(classes(x.shape))),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-of-one-row",
        function=CrossEntropy,
        call=lambda x: cross_entropy(x, Tensor(x.shape[0] // 2)),
        ref=lambda x: cross_entropy_ref(x[None], np.array([x.shape[0] // 2])),
        inputs=one(st.integers(1, 9).map(lambda n: (n,))),
        example=lambda rng: (2 * rng.standard_normal(5),),
        torch=lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(x.shape[0] // 2)),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-sum",
        function=CrossEntropy,
        call=lambda x: cross_entropy(x, Tensor(classes(x.shape)), reduction="sum", ignore_index=1),
        ref=lambda x: cross_entropy_ref(x, classes(x.shape), reduction="sum", ignore_index=1),
        inputs=one(st.tuples(st.integers(0, 2), st.integers(1, 9))),
        example=lambda rng: (2 * rng.standard_normal((2, 9)),),
        torch=lambda torch, x: torch.nn.functional.cross_entropy(
            x, torch.tensor(classes(x.shape)), reduction="sum", ignore_index=1
        ),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-weight-smoothing",
        function=CrossEntropy,
        call=lambda x: cross_entropy(x, Tensor(classes(x.shape)), Tensor(weights(x.shape)), label_smoothing=0.1),
        ref=lambda x: ref_of_classes(x, weight=weights(x.shape), label_smoothing=0.1),
        inputs=one(ROWS),
        example=lambda rng: (2 * rng.standard_normal((6, 5)),),
        torch=lambda torch, x: torch.nn.functional.cross_entropy(
            x,
            torch.tensor(classes(x.shape)),
            torch.tensor(weights(x.shape), dtype=x.dtype),
            label_smoothing=0.1,
        ),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-none-nd",
        function=CrossEntropy,
        call=lambda x: cross_entropy(x, Tensor(classes(x.shape)), Tensor(weights(x.shape)), **OPTIONS),
        ref=lambda x: ref_of_classes(x, weight=weights(x.shape), **OPTIONS),
        inputs=one(ANY),
        example=lambda rng: (2 * rng.standard_normal((3, 4, 2, 5)),),
        torch=lambda torch, x: torch.nn.functional.cross_entropy(
            x, torch.tensor(classes(x.shape)), torch.tensor(weights(x.shape), dtype=x.dtype), **OPTIONS
        ),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-probabilities",
        function=SoftCrossEntropy,
        call=cross_entropy,
        ref=lambda x, target: ref_of_probabilities(x, target, np.ones(x.shape[1]), "mean", 0.0),
        inputs=ROWS.flatmap(lambda shape: st.tuples(float_arrays(shape), float_arrays(shape, 0, 1))),
        example=lambda rng: (rng.standard_normal((6, 5)), rng.dirichlet(np.ones(5), 6)),
        torch=lambda torch, x, target: torch.nn.functional.cross_entropy(x, target),
        kernels=True,
    ),
    OpCase(
        name="cross_entropy-probabilities-none-nd",
        function=SoftCrossEntropy,
        call=lambda x, target: cross_entropy(x, target, Tensor(weights(x.shape)), **OPTIONS),
        ref=lambda x, target: ref_of_probabilities(x, target, weights(x.shape), **OPTIONS),
        inputs=ANY.flatmap(lambda shape: st.tuples(float_arrays(shape), float_arrays(shape, 0, 1))),
        example=lambda rng: (rng.standard_normal((3, 4, 2)), rng.uniform(0, 1, (3, 4, 2))),
        torch=lambda torch, x, target: torch.nn.functional.cross_entropy(
            x, target, torch.tensor(weights(x.shape), dtype=x.dtype), **OPTIONS
        ),
        kernels=True,
    ),
]
