"""`Tensor`: an array, its gradient, and its place in the computation graph. No maths is here.

The operators and methods (`+`, `@`, `.sum()`, `[...]`) are assigned to this class in `ops/operators.py`, each to
the function of the op's own file.
"""

from __future__ import annotations

import numpy as np

from . import graph

DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64"))
default_dtype = np.dtype("float32")


class Version:
    """Counts the changes in place of one piece of memory. Views share the object with their base."""

    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


class HookHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    __slots__ = ("_hook", "_hooks")

    def __init__(self, hooks: list, hook):
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


class Tensor:
    """An n-dimensional array that remembers how it was made.

    Make one with `tensor(data)`; `Tensor(data)` is the same. `.data` is the ndarray, `.grad` the gradient (a Tensor
    or None), `.node` the graph node that made it (None for a leaf).
    """

    __slots__ = ("__weakref__", "_version", "data", "grad", "hooks", "node", "requires_grad")
    __array_ufunc__ = None  # so that `ndarray + Tensor` asks Tensor.__radd__

    def __init__(self, data, dtype=None, requires_grad: bool = False):
        self.data = _as_array(data, dtype)
        self.grad: Tensor | None = None
        self.node: graph.Node | None = None
        self.hooks: list | None = None
        self.requires_grad = False
        self._version = Version()
        if requires_grad:
            self.requires_grad_()

    @classmethod
    def _from_array(cls, array: np.ndarray) -> Tensor:
        """Wrap an op's result as it is: no copy, no checks. NumPy's scalars become 0-d arrays."""
        result = Tensor.__new__(Tensor)
        result.data = array if type(array) is np.ndarray else np.asarray(array)
        result.grad = result.node = result.hooks = None
        result.requires_grad = False
        result._version = Version()
        return result

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    def size(self, dim: int | None = None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.data.ndim

    def numel(self) -> int:
        return self.data.size

    def is_floating_point(self) -> bool:
        return self.data.dtype.kind == "f"

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor: it holds one value, see .item().")
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"Only an integer tensor can be an index, this one is {self.dtype}.")
        return self.item()

    __hash__ = object.__hash__  # `==` compares elements, so hashing goes by identity

    def __repr__(self) -> str:
        facts = [f"shape={self.shape}", str(self.dtype)]
        if self.node is not None:
            facts.append(f"op={self.node.function.__name__}")
        if self.requires_grad:
            facts.append("requires_grad=True" if self.is_leaf else "needs grad")
        if self.grad is not None:
            facts.append(f"grad: norm {np.linalg.norm(self.grad.data):.4g}")
        elif self.requires_grad and self.is_leaf:
            facts.append("grad=None")
        if self.data.size <= 6 and self.ndim <= 1:
            return f"{type(self).__name__}({np.array2string(self.data, precision=4)}, {', '.join(facts)})"
        values = np.array2string(self.data, precision=4, threshold=60, edgeitems=2)
        return f"{type(self).__name__}({', '.join(facts)})\n{values}"

    # What it holds

    def numpy(self) -> np.ndarray:
        """The ndarray itself, sharing memory. Raises RuntimeError where that would bypass the graph."""
        if self.requires_grad:
            raise RuntimeError("numpy() on a tensor that requires grad: call .detach().numpy().")
        return self.data

    def item(self):
        """The only element, as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item() needs a tensor with one element, this one has shape {self.shape}.")
        return self.data.item()

    def tolist(self):
        return self.data.tolist()

    def detach(self) -> Tensor:
        """The same memory without the graph."""
        result = Tensor._from_array(self.data)
        result._version = self._version
        return result

    # Gradients

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(f"Only floating-point tensors can require grad, this one is {self.dtype}.")
        if not self.is_leaf:
            raise RuntimeError("requires_grad can be set on leaf tensors only; detach() this one first.")
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Keep this intermediate tensor's gradient in `.grad` when backward comes by."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() on a tensor that does not require grad.")
        if self.node is not None:
            self.node.retained_by = self

    def backward(self, grad: Tensor | np.ndarray | None = None, retain_graph: bool = False) -> None:
        """Compute the gradient of this tensor with respect to every leaf, and add it to the leaf's `.grad`.

        `grad` is the gradient of the final result with respect to this tensor: by default 1, for which this
        tensor must have one element. Raises RuntimeError when there is no graph or it was freed before.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward() on a tensor that does not require grad: no input had requires_grad=True, "
                "or it was computed under no_grad()."
            )
        dout = self._initial_gradient(grad)
        if self.node is None:
            self.accumulate_grad(dout, owned=False)
            self.run_post_accumulate_grad_hooks()
        else:
            with graph.no_grad(), np.errstate(all="ignore"):  # inf and NaN pass silently, as in the forward ops
                graph.backward(self.node, dout, retain_graph)

    def _initial_gradient(self, grad) -> np.ndarray:
        if grad is None:
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward() without `grad` needs a tensor with one element, this one has shape {self.shape}: "
                    "sum() or mean() it, or give `grad` of that shape."
                )
            return np.ones(self.shape, self.dtype)
        dout = np.asarray(grad.data if isinstance(grad, Tensor) else grad, dtype=self.dtype)
        if dout.shape != self.shape:
            raise ValueError(f"backward: `grad` has shape {dout.shape}, expected {self.shape}.")
        return dout

    def accumulate_grad(self, gradient: np.ndarray, owned: bool) -> None:
        """Add to `.grad`, out of place. An array that another tensor may also hold (not `owned`) is copied."""
        if self.grad is not None:
            gradient = self.grad.data + gradient
        elif not owned:
            gradient = np.array(gradient)
        self.grad = Tensor._from_array(gradient)

    def register_post_accumulate_grad_hook(self, hook) -> HookHandle:
        """Call `hook(self)` in each backward pass as soon as `.grad` is complete, while the pass goes on.

        However often the pass uses the tensor, that is once. Raises RuntimeError for an intermediate tensor.
        """
        if not (self.requires_grad and self.is_leaf):
            raise RuntimeError("A post-accumulate-grad hook needs a leaf tensor with requires_grad=True.")
        if self.hooks is None:
            self.hooks = []
        self.hooks.append(hook)
        return HookHandle(self.hooks, hook)

    def run_post_accumulate_grad_hooks(self) -> None:
        for hook in tuple(self.hooks or ()):
            hook(self)

    def zero_grad_(self, set_to_none: bool = True) -> None:
        """Forget the gradient, or, where there is one, replace it with zeros."""
        if self.grad is not None:
            self.grad = None if set_to_none else Tensor._from_array(np.zeros_like(self.grad.data))

    # Changes in place: only where no graph can see them

    def copy_(self, source) -> Tensor:
        """Overwrite the values with those of `source`, broadcast to this shape."""
        self[...] = source
        return self

    def zero_(self) -> Tensor:
        return self.copy_(0)

    def fill_(self, value: float) -> Tensor:
        return self.copy_(value)

    def __setitem__(self, key, value) -> None:
        if self.requires_grad and graph.is_grad_enabled():
            raise RuntimeError(
                "This tensor requires grad, so it cannot be changed in place: do it under no_grad(), or build "
                "a new tensor with where(), masked_fill() or cat()."
            )
        key = tuple(_raw(k) for k in key) if isinstance(key, tuple) else _raw(key)
        value = _raw(value)
        try:
            self.data[key] = value
        except (IndexError, ValueError) as error:
            raise type(error)(f"setitem on shape {self.shape} with {np.shape(value)}: {error}.") from None
        self._version.count += 1


def tensor(data, dtype=None, requires_grad: bool = False) -> Tensor:
    """A new leaf tensor with a copy of `data` (number, nested list, ndarray or Tensor).

    Python floats become float32 (as in PyTorch), ints int64; an ndarray keeps its dtype.

    >>> tensor([[1.0, 2.0]], requires_grad=True).shape
    (1, 2)
    """
    return Tensor(data, dtype=dtype, requires_grad=requires_grad)


def _raw(value):
    return value.data if isinstance(value, Tensor) else value


def _as_array(data, dtype) -> np.ndarray:
    if isinstance(data, Tensor):
        data = data.data
    try:
        array = np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"tensor: the data has no regular shape ({error}).") from None
    except TypeError as error:
        raise TypeError(f"tensor: the data cannot become an array of dtype {dtype!r} ({error}).") from None
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        array = array.astype(default_dtype)
    if array.dtype not in DTYPES:
        raise TypeError(
            f"tensor: dtype {array.dtype} is not supported; use one of {', '.join(map(str, DTYPES))} "
            "(float16 and bfloat16 weights are converted on load)."
        )
    return array
