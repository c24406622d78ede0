"""What clipping and momentum do to gradients in place, and what they leave alone."""

from tinygrad_llm import optim
from tinygrad_llm.autograd import Tensor


def test_clipping_counts_as_a_change_of_the_gradient():
    """So that a graph which saved the gradient notices that it was changed."""
    p = Tensor([3.0, 4.0], requires_grad=True)
    p.grad = Tensor([3.0, 4.0])
    for max_norm in (2.0, 1.0):
        before = p.grad._version.count
        optim.clip_grad_norm_(p, max_norm)
        assert p.grad._version.count > before


def test_a_gradient_just_below_the_limit_stays():
    p = Tensor([3.0, 4.0], requires_grad=True)
    p.grad = Tensor([3.0, 4.0])
    assert optim.clip_grad_norm_(p, 7.0) == 5.0
    assert p.grad.tolist() == [3.0, 4.0]


def test_momentum_keeps_a_gradient_of_its_own():
    """The first gradient starts the buffer; what is done to that gradient afterwards is not done to the buffer."""
    p = Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = Tensor([2.0])
    optimizer.step()
    p.grad.data[:] = 100.0
    p.grad = Tensor([4.0])
    optimizer.step()
    assert p.data[0] == 1.0 - 2.0 - (0.5 * 2.0 + 4.0)
