"""Tensor's operators and methods, the names in the package and in F, and what importing them costs."""

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor

A = np.array([[1.0, 2.0], [3.0, 4.0]])
B = np.array([[0.5, 2.0], [-1.0, 4.0]])


def words(text):
    return text.split()


# The ops of PyTorch that are here, and what else Tensor does in PyTorch.
METHODS = words("""
    add sub mul div neg pow matmul bmm outer exp log log1p sqrt rsqrt square reciprocal abs sin cos tanh erf sigmoid
    relu gelu silu softplus leaky_relu maximum minimum clamp where masked_fill tril triu sum mean var std prod amax
    amin max min argmax argmin all any logsumexp cumsum softmax log_softmax reshape view flatten transpose permute
    squeeze unsqueeze expand repeat flip roll narrow split chunk unbind contiguous clone gather index_select T mT
    eq ne lt le gt ge logical_and logical_or logical_not to float double int long bool numpy item detach backward
""")
FUNCTIONS = words("""
    tensor zeros ones full arange linspace eye randn rand randint zeros_like ones_like full_like from_numpy cat stack
    add sub mul div neg pow matmul bmm outer exp log log1p sqrt rsqrt square reciprocal abs sin cos tanh erf sigmoid
    relu maximum minimum clamp where masked_fill tril triu sum mean var std prod amax amin max min argmax argmin all
    any logsumexp cumsum softmax log_softmax reshape flatten transpose permute squeeze unsqueeze flip roll narrow
    split chunk unbind clone gather index_select eq ne lt le gt ge logical_and logical_or logical_not
    no_grad enable_grad is_grad_enabled
""")
OF_F = words("""
    linear layer_norm rms_norm embedding dropout cross_entropy nll_loss mse_loss binary_cross_entropy_with_logits
    kl_div scaled_dot_product_attention linear_cross_entropy relu gelu silu softplus leaky_relu sigmoid tanh softmax
    log_softmax
""")


def test_every_name_is_there():
    assert [name for name in METHODS if not hasattr(Tensor, name)] == []
    assert [name for name in FUNCTIONS if not callable(getattr(tg, name, None))] == []
    assert [name for name in OF_F if not callable(getattr(F, name, None))] == []
    assert set(FUNCTIONS) <= set(tg.__all__)
    assert set(OF_F) <= set(F.__all__)
    for module in (tg, F):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert tg.nn.Linear
    assert tg.optim.AdamW


def test_methods_and_functions_are_one_thing():
    for name in sorted(set(METHODS) & set(FUNCTIONS) - {"where", "tensor"}):
        assert getattr(Tensor, name) is getattr(tg, name), name
    for name in set(FUNCTIONS + OF_F) - {"is_grad_enabled"}:
        function = getattr(tg, name, None) or getattr(F, name)
        assert inspect.getdoc(function) or name in ("ne", "lt", "le", "gt", "ge"), f"{name} has no docstring"


@pytest.mark.parametrize(
    "expression",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a @ b,
        lambda a, b: a**b,
        lambda a, b: a + 2,
        lambda a, b: 2 + a,
        lambda a, b: a - 2,
        lambda a, b: 2 - a,
        lambda a, b: a * 2,
        lambda a, b: 2 * a,
        lambda a, b: a / 2,
        lambda a, b: 2 / a,
        lambda a, b: a**2,
        lambda a, b: 2**a,
        lambda a, b: -a,
        lambda a, b: abs(b),
        lambda a, b: a == b,
        lambda a, b: a != b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, b: 2 < a,
        lambda a, b: 2 >= a,
        lambda a, b: a == 2,
        lambda a, b: (a > 2) & (b > 0),
        lambda a, b: (a > 2) | (b > 0),
        lambda a, b: ~(a > 2),
        lambda a, b: a[1],
        lambda a, b: a.T,
    ],
)
def test_operators_do_what_numpy_does(expression):
    out = expression(Tensor(A), Tensor(B))
    expected = expression(A, B)
    assert isinstance(out, Tensor)
    assert out.dtype == expected.dtype
    np.testing.assert_allclose(out.data, expected, rtol=1e-14)


def test_arrays_on_either_side_give_tensors():
    for out in (A + Tensor(B), Tensor(A) + B, A * Tensor(B), A - Tensor(B), A / Tensor(B), A > Tensor(B)):
        assert type(out) is Tensor
    np.testing.assert_array_equal((A - Tensor(B)).data, A - B)
    for product in (A @ Tensor(B), Tensor(A) @ B):
        np.testing.assert_allclose(product.data, A @ B)


def test_in_place_operators_make_new_tensors():
    x = before = tg.tensor(A, requires_grad=True)
    x += 1
    x *= 2
    x.sum().backward()
    assert x is not before
    np.testing.assert_array_equal(before.data, A)
    assert before.grad.tolist() == [[2, 2], [2, 2]]


def test_equality_with_what_is_no_number():
    x = Tensor(A)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    assert len({x, Tensor(A)}) == 2
    assert 3 in Tensor(A[1])
    assert 5 not in Tensor(A[1])


def test_iteration_is_over_the_first_dim():
    assert [row.tolist() for row in Tensor(A)] == A.tolist()
    a, b = tg.tensor([1.0, 2.0], requires_grad=True)
    (a * b).backward()
    with pytest.raises(ValueError, match="0-d tensor has no dims"):
        iter(Tensor(1.0))


def test_methods_that_turn_arguments_round():
    x = Tensor(A)
    assert x.where(x > 2, 0.0).tolist() == [[0, 0], [3, 4]]
    assert x.max(dim=1).indices.tolist() == [1, 1]
    assert x.masked_fill(x > 2, -1.0).tolist() == [[1, 2], [-1, -1]]


def test_dtypes():
    x = tg.tensor(A, requires_grad=True)
    assert [y.dtype.name for y in (x.float(), x.double(), x.int(), x.long(), x.bool(), x.to("int8"))] == [
        "float32", "float64", "int32", "int64", "bool", "int8",
    ]  # fmt: skip
    assert x.double() is x
    assert not x.long().requires_grad
    (x.float() * 3).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float64, [[3, 3], [3, 3]])
    with pytest.raises(TypeError, match="to: 'cpu' is no supported dtype; use one of float32"):
        x.to("cpu")
    with pytest.raises(TypeError, match="is no supported dtype"):
        x.to(np.float16)


def test_numpy_sees_the_array():
    x = Tensor(A)
    assert np.shares_memory(np.asarray(x), x.data)
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(x, A)
    assert tg.tensor([x, x]).shape == (2, 2, 2)
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(tg.tensor(A, requires_grad=True))


def test_logical_operators_want_masks():
    with pytest.raises(TypeError, match=r"logical_and: needs bool tensors, got float64 of shape \(2, 2\)"):
        Tensor(A) & Tensor(B)
    with pytest.raises(ValueError, match=r"logical_or: shapes \(2,\) and \(3,\) do not broadcast"):
        tg.zeros(2).bool() | tg.zeros(3).bool()


def test_importing_loads_no_heavy_package():
    heavy = ("numba", "matplotlib", "rich", "hypothesis", "torch", "tensorboard")
    code = f"import sys, tinygrad_llm as tg; tg.nn, tg.optim, tg.functional; print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_version_is_stated_once():
    """The distribution takes its version from the package, and reads it without importing anything."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tinygrad_llm.__version__"}
    source = ast.parse(Path(tg.__file__).read_text(encoding="utf-8"))
    literals = [ast.literal_eval(node.value) for node in source.body if names_of(node) == ["__version__"]]
    assert literals == [tg.__version__]


def names_of(node):
    return [target.id for target in node.targets] if isinstance(node, ast.Assign) else []
