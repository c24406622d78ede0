"""What the engine refuses and how it says so: changed tensors, wrong gradients, misuse of backward."""

from __future__ import annotations

import numpy as np
import pytest
from toy_functions import apply, flip, leaf, plus, square, times

import tinygrad_llm.functional as F
from tinygrad_llm import where
from tinygrad_llm.autograd import Function, no_grad, tensor

# Changes in place


def changed(x, value=7.0):
    with no_grad():
        x[...] = value


def test_a_saved_input_that_was_changed_is_an_error():
    x = leaf(1.0, 2.0)
    y = square(x)
    changed(x)
    with pytest.raises(RuntimeError, match=r"Square: .*changed in place after the forward pass.*version 1, expected 0"):
        y.backward(np.ones(2))


def test_a_saved_output_that_was_changed_is_an_error():
    class Exp(Function):
        @staticmethod
        def forward(x):
            out = np.exp(x)
            return out, (out,)

        @staticmethod
        def backward(dout, saved):
            return (dout * saved[0],)

    x = leaf(1.0)
    y = apply(Exp, x)
    changed(y)
    with pytest.raises(RuntimeError, match=r"Exp: .*changed in place"):
        y.backward()


@pytest.mark.parametrize("through", ["view", "detach", "view of a view"])
def test_a_change_through_a_view_is_noticed(through):
    x = leaf(1.0, 2.0)
    y = square(x)
    with no_grad():
        view = {"view": lambda: flip(x), "detach": x.detach, "view of a view": lambda: flip(flip(x))}[through]()
    changed(view)
    np.testing.assert_array_equal(x.data, 7.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(np.ones(2))


@pytest.mark.parametrize(
    "view_of",
    [
        lambda x: x[1:],
        lambda x: x[0],
        lambda x: x.T,
        lambda x: x.reshape(6),
        lambda x: x.unsqueeze(0).expand(4, 2, 3),
        lambda x: x.permute(1, 0)[1:, 0],
    ],
    ids=["slice", "row", "T", "reshape", "expand", "slice of permuted"],
)
def test_views_made_by_ops_share_the_version(view_of):
    x = tensor(np.ones((2, 3)), requires_grad=True)
    before = square(x)
    with no_grad():
        view = view_of(x)
    assert np.shares_memory(view.data, x.data)
    of_view = square(view_of(x))
    changed(x)
    for y in (before, of_view):
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(np.ones(y.shape))
    if view.data.flags.writeable:
        y = square(x)
        changed(view)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(np.ones(y.shape))


def test_a_change_of_the_base_is_noticed_where_a_view_was_saved():
    x = leaf(1.0, 2.0)
    y = square(flip(x))
    changed(x)
    with pytest.raises(RuntimeError, match=r"Square: .*changed in place"):
        y.backward(np.ones(2))


@pytest.mark.parametrize(
    "masked",
    [
        lambda x, mask: where(mask, x, 0.0),
        lambda x, mask: x.masked_fill(mask, 0.0),
        lambda x, mask: F.scaled_dot_product_attention(x, x, x, mask),
    ],
    ids=["where", "masked_fill", "attention"],
)
def test_masks_are_saved_too(masked):
    x, mask = tensor(np.eye(2), requires_grad=True), tensor([[True, False], [True, True]])
    y = masked(x, mask)
    y.sum().backward(retain_graph=True)
    mask[0, 1] = True
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_a_change_of_what_was_not_saved_is_harmless():
    x = leaf(1.0, 2.0)
    y = plus(x, x)
    changed(x)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.data, 2.0)


def test_a_change_before_forward_or_after_backward_is_harmless():
    x = leaf(1.0, 2.0)
    for _ in range(2):
        changed(x, 3.0)
        square(x).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.data, 12.0)


def test_a_change_of_an_output_that_was_not_saved_is_harmless():
    x = leaf(1.0, 2.0)
    y = square(x)
    changed(y.detach())
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.data, [2.0, 4.0])


def test_a_tensor_that_requires_grad_is_not_changed_in_place():
    x = leaf(1.0, 2.0)
    for change in (lambda: x.zero_(), lambda: x.fill_(1.0), lambda: x.copy_(x), lambda: square(x).zero_()):
        with pytest.raises(RuntimeError, match="cannot be changed in place"):
            change()
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def test_changes_in_place():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    x[0] = tensor([5.0, 6.0])
    x[1, tensor(1)] = 9
    assert x.tolist() == [[5.0, 6.0], [3.0, 9.0]]
    assert x.fill_(2).tolist() == [[2.0, 2.0]] * 2
    assert x.copy_([1.0, 0.0]).tolist() == [[1.0, 0.0]] * 2
    assert x.zero_().tolist() == [[0.0, 0.0]] * 2


def test_an_assignment_that_does_not_fit_names_the_shapes():
    x = tensor([1.0, 2.0])
    with pytest.raises(IndexError, match=r"setitem on shape \(2,\)"):
        x[5] = 1.0
    with pytest.raises(ValueError, match=r"setitem on shape \(2,\) with \(3,\)"):
        x[:] = [1.0, 2.0, 3.0]


# Wrong functions of the user's


def function_with_backward(backward):
    """A function of one input whose backward is the given one."""
    made = type(
        "Mine",
        (Function,),
        {"forward": staticmethod(lambda x: (x + 0, ())), "backward": staticmethod(backward)},
    )
    x = leaf(1.0, 2.0)
    return apply(made, x)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (
            lambda dout, saved: (dout[:1],),
            r"Mine\.backward returned shape \(1,\) for an input of shape \(2,\)",
        ),
        (lambda dout, saved: (None,), r"Mine\.backward returned None for an input of shape \(2,\)"),
        (lambda dout, saved: (dout, dout), r"Mine\.backward returned 2 gradients for 1 inputs"),
        (lambda dout, saved: dout, r"Mine\.backward must return a tuple"),
        (lambda dout, saved: None, r"Mine\.backward must return a tuple"),
        (lambda dout, saved: (0.0,), r"Mine\.backward returned 0.0 for an input of shape \(2,\)"),
    ],
)
def test_a_backward_that_returns_the_wrong_thing(backward, message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        function_with_backward(backward).backward(np.ones(2))


def test_gradients_come_in_their_inputs_dtype():
    x = tensor([1.0, 2.0], requires_grad=True)
    made = type(
        "Wide",
        (Function,),
        {
            "forward": staticmethod(lambda x: (x + 0, ())),
            "backward": staticmethod(lambda dout, saved: (dout.astype(np.float64),)),
        },
    )
    apply(made, x).backward(np.ones(2))
    assert x.grad.dtype == np.float32


def test_gradients_of_0d_tensors_are_arrays():
    """NumPy's arithmetic on 0-d arrays gives scalars, which are no arrays."""
    seen = []

    class Watch(Function):
        @staticmethod
        def forward(x):
            return x + 0, ()

        @staticmethod
        def backward(dout, saved):
            seen.append(type(dout))
            return (dout,)

    x = tensor(np.array(3.0), requires_grad=True)
    watched = apply(Watch, x)
    square(watched).backward()
    assert seen == [np.ndarray]
    assert type(x.grad.data) is np.ndarray
    assert x.grad.item() == 6.0


# Misuse of backward


def test_backward_without_a_graph():
    with pytest.raises(RuntimeError, match="does not require grad"):
        tensor([1.0]).backward()
    x = leaf(1.0)
    with no_grad():
        y = square(x)
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_backward_of_several_elements_needs_a_gradient():
    with pytest.raises(RuntimeError, match=r"one element, this one has shape \(2,\): sum\(\) or mean\(\) it"):
        square(leaf(1.0, 2.0)).backward()


def test_backward_with_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"`grad` has shape \(3,\), expected \(2,\)"):
        square(leaf(1.0, 2.0)).backward(np.ones(3))


def test_retain_grad_of_a_constant():
    with pytest.raises(RuntimeError, match="does not require grad"):
        tensor([1.0]).retain_grad()


def test_requires_grad_is_for_float_leaves():
    with pytest.raises(TypeError, match="Only floating-point tensors can require grad, this one is int64"):
        tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"leaf tensors only; detach\(\)"):
        square(leaf(1.0)).requires_grad_(False)
    x = leaf(1.0).requires_grad_(False)
    assert not square(x).requires_grad


def test_repr_of_a_node_tells_op_and_shape():
    y = times(leaf(1.0), flip(leaf(2.0)))
    assert repr(y.node) == f"Node(Times #{y.node.number}, shape=(1,), dtype=float64)"
