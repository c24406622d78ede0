"""Views and their memory, PyTorch's special cases, and errors that name what was wrong."""

import re

import numpy as np
import pytest

import tinygrad_llm as tg
from tinygrad_llm.autograd import Tensor

X = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.reshape(2, 6),
        lambda x: x.view((-1,)),
        lambda x: x.flatten(),
        lambda x: x.transpose(0, 1),
        lambda x: x.T,
        lambda x: x.mT,
        lambda x: x.permute(1, 0),
        lambda x: x.unsqueeze(0),
        lambda x: x.unsqueeze(1).squeeze(1),
        lambda x: x.unsqueeze(0).expand(5, 3, 4),
        lambda x: x.narrow(0, 1, 2),
        lambda x: x.split(2)[0],
        lambda x: x.chunk(2, 1)[1],
        lambda x: x.unbind()[1],
        lambda x: x[1:, ::2],
        lambda x: x[-1],
        lambda x: x.contiguous(),
        lambda x: x.detach(),
    ],
)
def test_views_share_memory_and_version(view):
    x = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    out = view(x)
    assert np.shares_memory(out.data, x.data)
    product = view(x) * tg.ones(out.shape, requires_grad=True)
    x.zero_()
    assert not out.data.any()
    with pytest.raises(RuntimeError, match="changed in place"):
        product.sum().backward()


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.clone(),
        lambda x: x.flip(0),
        lambda x: x.roll(1),
        lambda x: x.repeat(1, 1),
        lambda x: x.T.contiguous(),
        lambda x: x.T.reshape(-1),
        lambda x: x[[0, 1]],
        lambda x: x[x > 3],
        lambda x: tg.cat([x]),
    ],
)
def test_copies_have_their_own_memory(copy):
    assert not np.shares_memory(copy(X).data, X.data)
    assert copy(X).data.flags.c_contiguous


def test_view_never_copies():
    with pytest.raises(ValueError, match=r"view: shape \(4, 3\) with strides .* use reshape\(\) instead"):
        X.T.view(12)
    assert X.T.view(2, 2, 3).tolist() == X.T.reshape(2, 2, 3).tolist()
    assert Tensor(np.zeros((0, 3))).T.view(0).shape == (0,)


def test_sizes_come_one_by_one_or_as_a_sequence():
    for out in (X.reshape(2, 6), X.reshape((2, 6)), X.reshape([2, -1]), tg.reshape(X, (np.int64(2), 6))):
        assert out.shape == (2, 6)
    assert X.expand(2, -1, -1).shape == X.expand((2, 3, 4)).shape == (2, 3, 4)
    assert X.permute((1, 0)).shape == (4, 3)
    assert X.repeat((2, 1, 2)).shape == (2, 3, 8)
    assert X.flip((0, 1)).tolist() == X.flip(0, 1).tolist()


def test_0d_and_empty_tensors():
    number, empty = Tensor(2.0), Tensor(np.zeros((0, 4)))
    assert number.reshape(1, 1).shape == (1, 1)
    assert number.reshape(()).shape == number.squeeze().shape == number.squeeze(0).shape == ()
    assert number.transpose(0, -1).shape == number.permute().shape == number.flip(0).shape == ()
    assert number.flatten().shape == number.unsqueeze(-1).shape == number.repeat(1).shape == (1,)
    assert number.expand(2, 3).tolist() == [[2, 2, 2], [2, 2, 2]]
    assert empty.reshape(-1, 2).shape == (0, 2)
    assert empty.expand(0, 4).shape == (0, 4)
    assert tg.zeros(1, 4).expand(0, 4).shape == (0, 4)
    assert [part.shape for part in empty.chunk(3)] == [(0, 4)] * 3
    assert [part.shape for part in empty.split(2)] == [part.shape for part in empty.split(0)] == [(0, 4)]
    assert empty.unbind() == ()
    assert tg.cat([empty, X.double()]).shape == (3, 4)


def test_split_and_chunk_sizes_are_pytorchs():
    assert [part.shape[1] for part in X.split(3, dim=1)] == [3, 1]
    assert [part.shape[1] for part in X.split([1, 0, 3], dim=-1)] == [1, 0, 3]
    assert [part.shape[0] for part in X.chunk(2)] == [2, 1]
    assert [part.shape[0] for part in X.chunk(5)] == [1, 1, 1]
    assert [part.shape[0] for part in Tensor(np.zeros(5)).chunk(4)] == [2, 2, 1]


def test_joining_promotes_as_pytorch_does():
    integers = Tensor(np.arange(3))
    assert tg.cat([integers, Tensor([0.5])]).dtype == np.float32
    assert tg.stack([integers, Tensor(np.zeros(3, bool))]).dtype == np.int64
    assert tg.cat([Tensor([1.0]), Tensor(np.ones(1))]).dtype == np.float64
    a, b = tg.tensor([1.0], requires_grad=True), tg.tensor(np.ones(2), requires_grad=True)
    (tg.cat([a, b]) * Tensor(np.array([1.0, 2.0, 3.0]))).sum().backward()
    assert (a.grad.dtype, a.grad.tolist()) == (np.float32, [1])
    assert (b.grad.dtype, b.grad.tolist()) == (np.float64, [2, 3])


def test_one_tensor_joined_with_itself():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (tg.stack([x, x, x]) * tg.tensor([[1.0], [2.0], [4.0]])).sum().backward()
    assert x.grad.tolist() == [7, 7]


def test_contiguous_returns_the_tensor_itself_where_it_is():
    assert X.contiguous() is X
    assert X.T.contiguous().data.flags.c_contiguous


def test_roll_may_name_a_dim_twice():
    assert X.roll((1, 2), (0, 0)).tolist() == X.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X.reshape(5, 3), ValueError, "reshape: shape (3, 4) has 12 elements, (5, 3) would have 15."),
        (lambda: X.reshape(5, -1), ValueError, "reshape: no size for -1 in (5, -1) fits the 12 elements of (3, 4)."),
        (lambda: X.reshape(-1, -1), ValueError, "one of them may be -1, got (-1, -1)"),
        (lambda: X.reshape(-2, 6), ValueError, "sizes must be positive or 0"),
        (lambda: tg.zeros(0, 3).reshape(-1, 0), ValueError, "no size for -1"),
        (lambda: X.reshape(2.0, 6), TypeError, "reshape: expected ints, got 2.0 of type float."),
        (lambda: X.view(True, 12), TypeError, "view: expected ints, got True of type bool."),
        (lambda: X.view(np.float64), TypeError, "view: expected ints"),
        (lambda: X.flatten(1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0 in shape (3, 4)."),
        (lambda: X.squeeze(2), IndexError, "squeeze: dim 2 is out of range for a 2-d tensor"),
        (lambda: X.squeeze((0, -2)), ValueError, "names the same dim twice"),
        (lambda: X.unsqueeze(3), IndexError, "unsqueeze: dim 3"),
        (lambda: X.permute(0), ValueError, "permute: dims must name each dim of shape (3, 4) once, got (0,)."),
        (lambda: X.permute(0, 0), ValueError, "names the same dim twice"),
        (lambda: X.transpose(0, 2), IndexError, "transpose: dim 2"),
        (lambda: tg.zeros(2, 3, 4).T, ValueError, "T: needs a matrix, got shape (2, 3, 4); use mT"),
        (lambda: tg.zeros(2).mT, ValueError, "mT: needs at least 2 dims, got shape (2,)."),
        (lambda: X.expand(2, 4), ValueError, "expand: shape (3, 4) cannot become (2, 4)"),
        (lambda: X.expand(4), ValueError, "expand: shape (3, 4) cannot become (4,)"),
        (lambda: X.expand(-1, 3, 4), ValueError, "expand: shape (3, 4) cannot become (-1, 3, 4)"),
        (lambda: X.expand(3, -2), ValueError, "expand: shape (3, 4) cannot become (3, -2)"),
        (lambda: X.repeat(2), ValueError, "repeat: needs a count of 0 or more for each dim of shape (3, 4), got (2,)."),
        (lambda: X.repeat(1, -1), ValueError, "got (1, -1)"),
        (lambda: X.flip(2), IndexError, "flip: dim 2"),
        (lambda: X.roll((1, 2)), ValueError, "roll: without dims there is one shift, got (1, 2)."),
        (lambda: X.roll((1, 2), 0), ValueError, "roll: needs as many shifts as dims"),
        (lambda: X.roll(1, 2), IndexError, "roll: dim 2"),
        (lambda: Tensor(1.0).roll(1, 0), IndexError, "roll: a 0-d tensor has no dim"),
        (lambda: tg.cat([]), ValueError, "cat: needs at least one tensor."),
        (lambda: tg.cat(X), TypeError, "cat: needs a list or tuple of tensors, not Tensor."),
        (lambda: tg.cat([X, X.T]), ValueError, "cat: the shapes must be equal except in dim 0, got (3, 4), (4, 3)."),
        (lambda: tg.cat([X, tg.zeros(3)]), ValueError, "cat: the shapes must be equal"),
        (lambda: tg.cat([Tensor(1.0)]), ValueError, "cat: 0-d tensors have no dim"),
        (lambda: tg.cat([X], 2), IndexError, "cat: dim 2"),
        (lambda: tg.cat([X, "x"]), TypeError, "cat: expected a Tensor"),
        (lambda: tg.stack([X, X.T]), ValueError, "stack: the shapes must be equal, got (3, 4), (4, 3)."),
        (lambda: X.narrow(0, 1, 3), IndexError, "narrow: 3 elements from 1 on do not lie in dim 0 of size 3."),
        (lambda: X.narrow(0, -4, 1), IndexError, "narrow: 1 elements from -4"),
        (lambda: X.split([1, 1]), ValueError, "split: sections (1, 1) do not add up to dim 0 of size 3."),
        (lambda: X.split([4, -1]), ValueError, "do not add up"),
        (lambda: X.split(0), ValueError, "split: the size of a piece must be positive, got 0"),
        (lambda: X.chunk(0), ValueError, "chunk: needs at least 1 chunk, got 0."),
        (lambda: Tensor(1.0).unbind(), ValueError, "unbind: a 0-d tensor has no dims"),
    ],
)  # fmt: skip
def test_errors_name_the_op_and_the_shapes(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
