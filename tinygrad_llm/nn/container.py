"""Modules that hold other modules in order: `ModuleList` to index and loop over, `Sequential` to call one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
