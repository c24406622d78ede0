"""`Module`: parameters and the computation that uses them, in a tree.

A module is a plain Python object. What it holds is found by a walk over `vars(self)`: a `Parameter` in an attribute is
one of its parameters, a `Module` in an attribute is a child, and the dotted path of attributes is the name:

    class Tiny(Module):
        def __init__(self, rng):
            self.hidden = Linear(4, 8, rng=rng)
            self.out = Linear(8, 2, rng=rng)

        def forward(self, x):                       # (B, 4) -> (B, 2)
            return self.out(F.relu(self.hidden(x)))

    [name for name, _ in Tiny(rng).named_parameters()]   # hidden.weight, hidden.bias, out.weight, out.bias

There is no registration, so nothing can be missed by it: no `super().__init__()`, and no `__getattr__`, so that a
mistyped attribute is an AttributeError as everywhere in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..autograd import Tensor


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes. It requires a gradient unless told otherwise."""

    __slots__ = ()

    def __init__(self, data, requires_grad: bool = True, *, dtype=None):
        super().__init__(data, dtype, requires_grad)


class LoadResult(NamedTuple):
    """What `load_state_dict(strict=False)` let pass."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models. Subclasses write `__init__` and `forward`."""

    training = True

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} does not define forward().")

    # The walk

    def _members(self) -> Iterator[tuple[str, Parameter | Module]]:
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Module)):
                yield name, value
            elif isinstance(value, (list, tuple, dict)):
                _refuse_hidden_members(self, name, value)

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Parameter | Module]]:
        """All parameters and modules below this one under their full names; shared ones under each name."""
        for name, value in self._members():
            yield prefix + name, value
            if isinstance(value, Module):
                yield from value._walk(prefix + name + ".")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Name and parameter, each parameter once: a shared one has its first name."""
        seen = set()
        for name, value in self._walk():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        for _, parameter in self.named_parameters():
            yield parameter

    def num_parameters(self) -> int:
        """How many numbers there are to learn; those of a shared parameter count once."""
        return sum(parameter.data.size for parameter in self.parameters())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module under the name "", then all below it, each once."""
        seen = {id(self)}
        yield "", self
        for name, value in self._walk():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def modules(self) -> Iterator[Module]:
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for name, value in self._members():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        for _, child in self.named_children():
            yield child

    # Things done to all of them

    def train(self, mode: bool = True) -> Module:
        """Switch on what happens in training only (dropout). Returns the module itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def apply(self, function: Callable[[Module], None]) -> Module:
        """Call `function` on every module, children before their parent."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as the optimizers' `zero_grad` does, but those of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad_(set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """`requires_grad_(False)` freezes: no gradients, and optimizers leave the parameters as they are."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, dtype) -> Module:
        """Convert all floating-point parameters to "float32" or "float64"; gradients are dropped."""
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"{type(self).__name__}.to: parameters can be float32 or float64, not {dtype}.")
        for parameter in self.parameters():
            if parameter.is_floating_point():  # the whole numbers of a quantised layer stay what they are
                parameter.data = parameter.data.astype(dtype)
                parameter.grad = None
        return self

    # State

    def state_dict(self) -> dict[str, np.ndarray]:
        """Name -> the parameter's own array, not a copy. A shared parameter is there under each of its names."""
        return {name: value.data for name, value in self._walk() if isinstance(value, Parameter)}

    def load_state_dict(self, state: Mapping[str, np.ndarray | Tensor], strict: bool = True) -> LoadResult:
        """Copy the values of `state` into the parameters of the same names.

        Raises ValueError, before anything is changed, that lists all missing and unexpected names (unless
        `strict=False`, which returns them) and all wrong shapes.
        """
        own = {name: value for name, value in self._walk() if isinstance(value, Parameter)}
        arrays = {name: np.asarray(v.data if isinstance(v, Tensor) else v) for name, v in state.items()}
        missing = [name for name in own if name not in arrays]
        unexpected = [name for name in arrays if name not in own]
        misshaped = [
            f"{name} {arrays[name].shape} instead of {parameter.shape}"
            for name, parameter in own.items()
            if name in arrays and arrays[name].shape != parameter.shape
        ]
        problems = [("wrong shape", misshaped)]
        if strict:
            problems += [("missing", missing), ("unexpected", unexpected)]
        found = [f"{what}: {', '.join(names)}" for what, names in problems if names]
        if found:
            raise ValueError(f"load_state_dict: the state does not fit {type(self).__name__}; {'; '.join(found)}.")
        for name, parameter in own.items():
            if name in arrays:
                parameter.data[...] = arrays[name]
                parameter._version.count += 1
        return LoadResult(missing, unexpected)

    # The tree, printed

    def extra_repr(self) -> str:
        """What to show after the opening parenthesis, before any children."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {text}" for name, text in _merge_equal(self.named_children())]
        head = f"{type(self).__name__}({self.extra_repr()}"
        if not lines:
            return head + ")"
        return "\n".join([head, *lines]).replace("\n", "\n  ") + "\n)"


def _merge_equal(children: Iterator[tuple[str, Module]]) -> list[tuple[str, str]]:
    """Names and reprs, where neighbours in a list that look the same share a line: `(0-3): 4 x Block(`."""
    runs: list[tuple[list[str], str]] = []
    for name, child in children:
        text = repr(child)
        if runs and name.isdigit() and runs[-1][1] == text:
            runs[-1][0].append(name)
        else:
            runs.append(([name], text))
    return [
        (names[0], text) if len(names) == 1 else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}")
        for names, text in runs
    ]


def _refuse_hidden_members(owner: Module, name: str, value: list | tuple | dict) -> None:
    """A module in a plain list would be left untrained without a word: say so instead."""
    items = value.values() if isinstance(value, dict) else value
    if any(isinstance(item, (Parameter, Module)) for item in items):
        raise TypeError(
            f"{type(owner).__name__}.{name} holds modules or parameters in a {type(value).__name__}, where they "
            "would not be found: use nn.ModuleList, nn.Sequential, or an attribute for each."
        )
