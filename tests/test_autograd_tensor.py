"""What a Tensor is made from, what it shows, and how it converts."""

from __future__ import annotations

import numpy as np
import pytest
from toy_functions import leaf, square

from tinygrad_llm.autograd import Tensor, tensor


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2], "float32"),
        ([[1, 2], [3, 4]], "int64"),
        (True, "bool"),
        ([], "float32"),
        (np.array([1.0]), "float64"),
        (np.float64(1.0), "float64"),
        (np.array([1], np.int32), "int32"),
        (np.zeros(2, np.float32), "float32"),
        (Tensor(np.zeros(2)), "float64"),
    ],
    ids=str,
)
def test_dtype_of_new_tensors(data, dtype):
    assert tensor(data).dtype == dtype
    assert tensor(data, dtype="float64").dtype == "float64"


@pytest.mark.parametrize("dtype", ["float16", "complex64", "uint16", "object", "datetime64[s]"])
def test_dtypes_that_are_not_supported(dtype):
    with pytest.raises(TypeError, match="not supported; use one of float32, float64"):
        tensor(np.zeros(2).astype(dtype))


def test_a_list_of_unequal_lengths():
    with pytest.raises(ValueError, match="no regular shape"):
        tensor([[1.0], [1.0, 2.0]])


def test_text_is_no_tensor():
    with pytest.raises(TypeError, match="not supported"):
        tensor("text")


def test_data_is_copied():
    array = np.zeros(2)
    x = tensor(array)
    array[0] = 1.0
    other = tensor(x)
    other.zero_().fill_(5.0)
    assert x.tolist() == [0.0, 0.0]


def test_a_copy_of_a_tensor_is_a_leaf():
    x = tensor(square(leaf(2.0)), requires_grad=True)
    assert x.is_leaf
    assert x.node is None
    assert x.requires_grad


def test_shape_and_friends():
    x = tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.dim(), x.numel(), len(x)) == ((2, 3), 2, 2, 6, 2)
    assert (x.size(), x.size(1), x.size(-1)) == ((2, 3), 3, 3)
    assert x.is_floating_point()
    assert not tensor([1]).is_floating_point()
    with pytest.raises(TypeError, match=r"0-d tensor: it holds one value, see \.item"):
        len(tensor(1.0))


def test_item_and_numbers():
    assert tensor([[2.5]]).item() == 2.5
    assert isinstance(tensor(2).item(), int)
    assert (int(tensor(2.7)), float(tensor([3])), bool(tensor(0.0))) == (2, 3.0, False)
    assert [10, 20, 30][tensor(1)] == 20
    for convert in (Tensor.item, float, bool):
        with pytest.raises(ValueError, match=r"one element, this one has shape \(2,\)"):
            convert(tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="Only an integer tensor can be an index, this one is float32"):
        [1][tensor(0.0)]


def test_numpy_shares_memory_unless_a_graph_would_be_bypassed():
    x = tensor([1.0, 2.0])
    assert x.numpy() is x.data
    with pytest.raises(RuntimeError, match=r"\.detach\(\)\.numpy\(\)"):
        leaf(1.0).numpy()
    y = leaf(1.0)
    assert y.detach().numpy() is y.data


def test_tensors_are_hashed_by_identity():
    x, same_values = tensor([1.0]), tensor([1.0])
    assert len({x, same_values, x}) == 2
    assert {x: "found"}[x] == "found"


def test_repr_tells_shape_dtype_op_and_gradient_state():
    assert repr(tensor([1.0, 2.0])) == "Tensor([1. 2.], shape=(2,), float32)"
    x = tensor(np.array([3.0, 4.0]), requires_grad=True)
    assert repr(x) == "Tensor([3. 4.], shape=(2,), float64, requires_grad=True, grad=None)"
    y = square(x)
    assert repr(y) == "Tensor([ 9. 16.], shape=(2,), float64, op=Square, needs grad)"
    y.backward(np.array([0.5, 0.5]))
    assert repr(x) == "Tensor([3. 4.], shape=(2,), float64, requires_grad=True, grad: norm 5)"


def test_repr_of_large_tensors_is_short():
    text = repr(tensor(np.zeros((100, 100))))
    assert text.startswith("Tensor(shape=(100, 100), float64)\n[[")
    assert len(text) < 400
    assert repr(tensor(np.zeros((0, 3)))) == "Tensor(shape=(0, 3), float64)\n[]"


def test_unknown_attributes_are_errors():
    with pytest.raises(AttributeError):
        tensor([1.0]).gradient = 1
    with pytest.raises(AttributeError):
        tensor([1.0]).gardient  # noqa: B018
