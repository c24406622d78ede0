"""`Combined`: several optimizers that act as one, each on parameters of its own.

    Combined(AdamW(embeddings_and_norms, lr=5e-3), Muon(matrices, lr=0.02))

The learning rates stay apart; `lr_factor`, the schedule's part, multiplies all of them.
"""

from __future__ import annotations

from .optimizer import Optimizer


class Combined(Optimizer):
    """Raises ValueError where two of the optimizers have a parameter in common."""

    def __init__(self, *optimizers: Optimizer):
        self.optimizers = optimizers
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._check_parameters()

    def step(self, lr_factor: float = 1.0) -> None:
        for optimizer in self.optimizers:
            optimizer.step(lr_factor)

    def state_dict(self) -> dict[str, dict]:
        """As `Optimizer.state_dict`; the arrays' names begin with the optimizer's number: "1.0.momentum_buffer"."""
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        arrays = {f"{i}.{name}": array for i, state in enumerate(states) for name, array in state["arrays"].items()}
        return {"arrays": arrays, "scalars": {"optimizers": [state["scalars"] for state in states]}}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Raises ValueError, before anything is changed, where the state is of other optimizers or other groups."""
        saved = state["scalars"].get("optimizers", [])
        if len(saved) != len(self.optimizers):
            raise ValueError(
                f"Combined: the state is of {len(saved) or 'no'} combined optimizers, this has {len(self.optimizers)}."
            )
        for optimizer, scalars in zip(self.optimizers, saved, strict=True):
            optimizer._check_saved_groups(scalars["param_groups"])
        for i, (optimizer, scalars) in enumerate(zip(self.optimizers, saved, strict=True)):
            prefix = f"{i}."
            arrays = {
                name.removeprefix(prefix): array for name, array in state["arrays"].items() if name.startswith(prefix)
            }
            optimizer.load_state_dict({"arrays": arrays, "scalars": scalars})
