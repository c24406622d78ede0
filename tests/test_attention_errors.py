"""What attention refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.attention import qkv_attention, scaled_dot_product_attention


def refused(error, words, *shapes, dtypes=("float32",) * 3, **options):
    inputs = [Tensor(np.zeros(shape, dtype)) for shape, dtype in zip(shapes, dtypes, strict=True)]
    with pytest.raises(error) as caught:
        scaled_dot_product_attention(*inputs, **options)
    message = str(caught.value)
    assert message.startswith("scaled_dot_product_attention: ")
    for word in words:
        assert word in message


def test_shapes_that_do_not_fit():
    refused(ValueError, ["at least 2 dims", "(4,)"], (4,), (3, 4), (3, 4))
    refused(ValueError, ["same number of features", "(3, 4)", "(3, 5)"], (3, 4), (3, 5), (3, 4))
    refused(ValueError, ["at least 1", "(3, 0)"], (3, 0), (3, 0), (3, 4))
    refused(ValueError, ["same length", "(2, 4)", "(3, 4)"], (3, 4), (2, 4), (3, 4))
    refused(ValueError, ["(2, 4)", "(2, 2)", "broadcast"], (2, 4, 3, 8), (2, 2, 3, 8), (2, 2, 3, 8))


def test_grouped_heads_that_do_not_fit():
    refused(ValueError, ["divisor"], (2, 4, 3, 8), (2, 3, 3, 8), (2, 3, 3, 8), enable_gqa=True)
    refused(ValueError, ["same number of heads"], (2, 4, 3, 8), (2, 2, 3, 8), (2, 4, 3, 8), enable_gqa=True)
    refused(ValueError, ["needs heads"], (3, 8), (3, 8), (3, 8), enable_gqa=True)


def test_dtypes_that_do_not_fit():
    shapes = [(3, 4)] * 3
    refused(TypeError, ["one dtype", "float64"], *shapes, dtypes=("float32", "float64", "float32"))
    refused(TypeError, ["floating-point", "int64"], *shapes, dtypes=("int64",) * 3)
    refused(TypeError, ["attn_mask", "int64"], *shapes, attn_mask=np.zeros((3, 3), "int64"))
    refused(TypeError, ["attn_mask", "float64"], *shapes, attn_mask=np.zeros((3, 3), "float64"))


def test_masks_that_do_not_fit():
    shapes = [(2, 3, 4)] * 3
    refused(ValueError, ["attn_mask", "(3, 4)", "(2, 3, 3)"], *shapes, attn_mask=np.ones((3, 4), bool))
    refused(ValueError, ["attn_mask", "(4, 2, 3, 3)"], *shapes, attn_mask=np.ones((4, 2, 3, 3), bool))


def test_dropout_needs_a_probability_and_a_generator():
    shapes = [(3, 4)] * 3
    refused(ValueError, ["dropout_p", "0 to 1", "1.5"], *shapes, dropout_p=1.5)
    refused(TypeError, ["rng", "np.random.default_rng(0)"], *shapes, dropout_p=0.1)


@pytest.mark.parametrize(("shape", "n_heads"), [((2, 12), 2), ((1, 2, 12), 3), ((1, 2, 0), 1), ((1, 2, 12), 0)])
def test_packed_shapes_that_do_not_fit(shape, n_heads):
    with pytest.raises(ValueError, match=r"qkv_attention: .*\(B, T, 3·C\)"):
        qkv_attention(Tensor(np.zeros(shape, "float32")), n_heads)


def test_masks_of_packed_attention():
    qkv = Tensor(np.zeros((2, 3, 12), "float32"))
    with pytest.raises(
        ValueError, match=r"qkv_attention: attn_mask of shape \(2, 3\) does not broadcast .* \(2, 2, 3, 3\)"
    ):
        qkv_attention(qkv, 2, np.ones((2, 3), bool))
    with pytest.raises(TypeError, match="qkv_attention: attn_mask must be bool"):
        qkv_attention(qkv, 2, np.ones((3, 3), int))
    with pytest.raises(ValueError, match="attn_mask gets no gradient here"):
        qkv_attention(qkv, 2, Tensor(np.zeros((3, 3), "float32"), requires_grad=True))
