"""`Optimizer`: what all optimizers share: which parameters to change, at which rate, and what to remember of each.

    optimizer = AdamW(model.parameters(), lr=3e-4)
    for step in range(n_steps):
        model.loss(*batch).backward()
        optimizer.step(lr_factor=cosine(step, n_steps))
        optimizer.zero_grad()

Parameters can come in groups with settings of their own:

    AdamW([{"params": new_layers}, {"params": pretrained_layers, "lr": 1e-5}], lr=1e-3)
    AdamW(decay_matrices(model.parameters(), weight_decay=0.1), lr=3e-4)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..autograd import Tensor


class Optimizer:
    """Subclasses write `update(parameter, gradient, state, group, lr)`, which changes `parameter` in place.

    `state` is a dict that stays with the parameter: arrays and numbers, empty before the first update.
    Raises ValueError where there is nothing to optimise, a parameter comes twice, or a setting is out of range.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict], **defaults):
        params = list(params)
        groups = params if params and isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [{**defaults, **group, "params": list(group["params"])} for group in groups]
        for group in self.param_groups:
            self._check_group(group, defaults)
        self._check_parameters()
        self.state = {id(p): {} for p in self._parameters()}

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _check_group(self, group: dict, defaults: dict) -> None:
        name = self._name
        unknown = set(group) - set(defaults) - {"params"}
        if unknown:
            raise ValueError(f"{name}: unknown setting {sorted(unknown)[0]!r}; it knows {', '.join(defaults)}.")
        for setting in ("lr", "weight_decay", "eps"):
            if not 0 <= group.get(setting, 0) < np.inf:
                raise ValueError(f"{name}: {setting} must be a number of at least 0, not {group[setting]!r}.")
        for share in (*group.get("betas", ()), group.get("momentum", 0)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}: betas and momentum must be at least 0 and below 1, not {share!r}.")

    def _check_parameters(self) -> None:
        name, parameters = self._name, self._parameters()
        if not parameters:
            raise ValueError(f"{name}: there are no parameters to optimise.")
        for p in parameters:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: parameters must be tensors, not {type(p).__name__}.")
            if not p.is_leaf or p.dtype.kind != "f":
                raise ValueError(f"{name}: can only change floating-point leaf tensors, got {p!r}.")
        if len({id(p) for p in parameters}) < len(parameters):
            raise ValueError(f"{name}: a parameter is in the list, or in two groups, twice.")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or make them zeros: the next backward() starts afresh instead of adding to them."""
        for p in self._parameters():
            p.zero_grad_(set_to_none)

    def step(self, lr_factor: float = 1.0) -> None:
        """Change every parameter that has a gradient, at its group's `lr` times `lr_factor`, the schedule's part."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p.data, p.grad.data, self.state[id(p)], group, group["lr"] * lr_factor)
                    p._version.count += 1

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        raise NotImplementedError(f"{self._name} does not define update().")

    def state_dict(self) -> dict[str, dict]:
        """{"arrays": {"0.exp_avg": ndarray, …}, "scalars": {"0.step": 7, …, "param_groups": […]}}.

        Parameters go by their number in the groups' order. The arrays are the optimizer's own, not copies; the
        scalars are ready for JSON.
        """
        arrays, scalars = {}, {}
        for number, p in enumerate(self._parameters()):
            for key, value in self.state[id(p)].items():
                (arrays if isinstance(value, np.ndarray) else scalars)[f"{number}.{key}"] = value
        groups = [{k: v for k, v in g.items() if k != "params"} | {"n": len(g["params"])} for g in self.param_groups]
        return {"arrays": arrays, "scalars": {**scalars, "param_groups": groups}}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Go on where the optimizer that gave `state` stood, settings included.

        Raises ValueError where it was another kind, or had other groups of parameters, or other shapes.
        """
        self._check_saved_groups(state["scalars"].get("param_groups", []))
        parameters = self._parameters()
        loaded = {id(p): {} for p in parameters}
        for key, value in {**state["arrays"], **state["scalars"]}.items():
            number, _, what = key.partition(".")
            if not what:
                continue  # "param_groups"
            p = parameters[int(number)]
            if isinstance(value, np.ndarray):
                if value.shape != p.shape:
                    raise ValueError(f"{self._name}: state {key} has shape {value.shape}, its parameter {p.shape}.")
                value = value.astype(p.dtype)
            loaded[id(p)][what] = value
        self.state = loaded
        for own, group in zip(self.param_groups, state["scalars"]["param_groups"], strict=True):
            own.update({k: tuple(v) if isinstance(v, list) else v for k, v in group.items() if k != "n"})

    def _check_saved_groups(self, groups: list[dict]) -> None:
        sizes, own_sizes = [g["n"] for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own_sizes:
            raise ValueError(f"{self._name}: the state is of groups of {sizes} parameters, this has {own_sizes}.")
        settings, own_settings = set(groups[0]) - {"n"}, set(self.param_groups[0]) - {"params"}
        if settings != own_settings:
            listed = ", this one ".join(", ".join(sorted(each)) for each in (settings, own_settings))
            raise ValueError(f"{self._name}: the state is another optimizer's: it has {listed}.")


def decay_matrices(parameters: Iterable[Tensor], weight_decay: float) -> list[dict]:
    """Two groups: matrices and embeddings, kept small by weight decay; biases and norms, which it would only harm."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
