"""Modules that hold others: `ModuleList` to loop over, `Sequential` to call one by one, `ModuleDict` to look up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..autograd import Tensor
from .module import Module


class ModuleList(Module):
    """A list of modules whose parameters are found. The items are the attributes "0", "1", … of the walk."""

    def __init__(self, modules: Iterable[Module] = ()):
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}: needs a list of modules, not {type(modules).__name__}.")
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} holds modules, not {type(module).__name__}.")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class Sequential(ModuleList):
    """`Sequential(a, b, c)(x)` is `c(b(a(x)))`."""

    def __init__(self, *modules: Module):
        super().__init__(modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x


class ModuleDict(Module):
    """Modules by name, in the order they were given. A name is an attribute of the walk, so it must not be taken there.

    Raises ValueError for a name that is no text without dots, or one of a module's own.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None):
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict holds modules, not {type(module).__name__}.")
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise ValueError(f"ModuleDict: {name!r} cannot be a name here; take another text without dots.")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return dict(self.named_children())[name]

    def __contains__(self, name: object) -> bool:
        return name in dict(self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def items(self) -> Iterator[tuple[str, Module]]:
        return self.named_children()
