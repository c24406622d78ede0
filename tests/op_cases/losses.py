import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.losses import (
    BinaryCrossEntropyWithLogits,
    KLDiv,
    MSELoss,
    NLLLoss,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_ref,
    kl_div,
    kl_div_ref,
    mse_loss,
    mse_loss_ref,
    nll_loss,
    nll_loss_ref,
)
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase
from .cross_entropy import ANY, ROWS, classes, one, weights


def pairs(shape_strategy, low=-3.0, high=3.0):
    """Inputs, and targets from `low` to `high`, of the same shape."""
    return shape_strategy.flatmap(lambda shape: st.tuples(float_arrays(shape), float_arrays(shape, low, high)))


def nll_ref_nd(x):
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    losses = nll_loss_ref(rows, classes(x.shape).reshape(-1), weights(x.shape), reduction="none")
    return losses.reshape(classes(x.shape).shape)


NOT_EMPTY = shapes(min_side=1)

CASES = [
    OpCase(
        name="nll_loss",
        function=NLLLoss,
        call=lambda x: nll_loss(x, Tensor(classes(x.shape)), Tensor(weights(x.shape))),
        ref=lambda x: nll_loss_ref(x, classes(x.shape), weights(x.shape)),
        inputs=one(ROWS),
        example=lambda rng: (rng.standard_normal((6, 5)),),
        torch=lambda torch, x: torch.nn.functional.nll_loss(
            x, torch.tensor(classes(x.shape)), torch.tensor(weights(x.shape), dtype=x.dtype)
        ),
    ),
    OpCase(
        name="nll_loss-of-one-row",
        function=NLLLoss,
        call=lambda x: nll_loss(x, Tensor(0)),
        ref=lambda x: nll_loss_ref(x[None], np.array([0])),
        inputs=one(st.integers(1, 9).map(lambda n: (n,))),
        example=lambda rng: (rng.standard_normal(5),),
        torch=lambda torch, x: torch.nn.functional.nll_loss(x, torch.tensor(0)),
    ),
    OpCase(
        name="nll_loss-none-nd",
        function=NLLLoss,
        call=lambda x: nll_loss(x, Tensor(classes(x.shape)), Tensor(weights(x.shape)), reduction="none"),
        ref=nll_ref_nd,
        inputs=one(ANY),
        example=lambda rng: (rng.standard_normal((3, 4, 2, 5)),),
        torch=lambda torch, x: torch.nn.functional.nll_loss(
            x,
            torch.tensor(classes(x.shape)),
            torch.tensor(weights(x.shape), dtype=x.dtype),
            reduction="none",
        ),
    ),
    OpCase(
        name="mse_loss",
        function=MSELoss,
        call=mse_loss,
        ref=mse_loss_ref,
        inputs=pairs(NOT_EMPTY),
        example=lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
        torch=lambda torch, x, t: torch.nn.functional.mse_loss(x, t),
    ),
    OpCase(
        name="mse_loss-sum",
        function=MSELoss,
        call=lambda x, t: mse_loss(x, t, reduction="sum"),
        ref=lambda x, t: ((x - t) ** 2).sum(),
        inputs=pairs(shapes()),
        example=lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
        torch=lambda torch, x, t: torch.nn.functional.mse_loss(x, t, reduction="sum"),
    ),
    OpCase(
        name="binary_cross_entropy_with_logits",
        function=BinaryCrossEntropyWithLogits,
        call=binary_cross_entropy_with_logits,
        ref=binary_cross_entropy_with_logits_ref,
        inputs=pairs(NOT_EMPTY, 0, 1),
        example=lambda rng: (3 * rng.standard_normal((3, 4)), rng.uniform(0, 1, (3, 4))),
        torch=lambda torch, x, t: torch.nn.functional.binary_cross_entropy_with_logits(x, t),
    ),
    OpCase(
        name="binary_cross_entropy_with_logits-weights",
        function=BinaryCrossEntropyWithLogits,
        call=lambda x, t: binary_cross_entropy_with_logits(
            x, t, Tensor([[2.0], [3.0]]), pos_weight=Tensor([1.5, 0.5, 4.0])
        ),
        ref=lambda x, t: binary_cross_entropy_with_logits_ref(
            x, t, np.array([[2.0], [3.0]]), np.array([1.5, 0.5, 4.0])
        ),
        inputs=pairs(st.just((2, 3)), 0, 1),
        example=lambda rng: (3 * rng.standard_normal((2, 3)), rng.uniform(0, 1, (2, 3))),
        torch=lambda torch, x, t: torch.nn.functional.binary_cross_entropy_with_logits(
            x,
            t,
            torch.tensor([[2.0], [3.0]], dtype=x.dtype),
            pos_weight=torch.tensor([1.5, 0.5, 4.0], dtype=x.dtype),
        ),
    ),
    OpCase(
        name="kl_div",
        function=KLDiv,
        call=kl_div,
        ref=kl_div_ref,
        inputs=pairs(NOT_EMPTY, 0.1, 1),
        example=lambda rng: (rng.uniform(0.1, 2, (3, 4)), rng.dirichlet(np.ones(4), 3)),
        torch=lambda torch, x, t: torch.nn.functional.kl_div(x, t),
    ),
    OpCase(
        name="kl_div-log_target-batchmean",
        function=KLDiv,
        call=lambda x, t: kl_div(x, t, reduction="batchmean", log_target=True),
        ref=lambda x, t: (np.exp(t) * (t - x)).sum() / len(x),
        inputs=pairs(shapes(min_dims=1, min_side=1)),
        example=lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
        torch=lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="batchmean", log_target=True),
    ),
    OpCase(
        name="kl_div-none",
        function=KLDiv,
        call=lambda x, t: kl_div(x, t, reduction="none"),
        ref=lambda x, t: t * (np.log(t) - x),
        inputs=pairs(shapes(), 0.1, 1),
        example=lambda rng: (rng.uniform(0.1, 2, (3, 4)), rng.dirichlet(np.ones(4), 3)),
        torch=lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="none"),
    ),
]
