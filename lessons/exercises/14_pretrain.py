"""Exercises of lesson 14: the rate of each step, unequal batches, an honest evaluation, and a run that can be resumed.

tinygrad-llm check 14
"""

import math  # noqa: F401  (for you)

import numpy as np


def learning_rate(step: int, n_steps: int, warmup_steps: int, highest: float, lowest: float) -> float:
    """The rate of a step, counted from 0: a line up to `highest`, then half a cosine wave down to `lowest`.

    Step 0 has already a part of `highest`: the line would be 0 one step before it, and is `highest` at step
    `warmup_steps`. There the cosine begins; it is half-way between highest and lowest half-way to step `n_steps`, and
    `lowest` from step `n_steps` on. Without warm-up, step 0 has `highest`. warmup_steps < n_steps.

    >>> [round(learning_rate(step, 5, 1, 2.0, 1.0), 3) for step in range(7)]
    [1.0, 2.0, 1.854, 1.5, 1.146, 1.0, 1.0]
    """
    raise NotImplementedError


def accumulate(gradients: list[np.ndarray], n_targets: list[int]) -> np.ndarray:
    """The gradient of the mean loss over all targets, where gradients[k] is that of the mean over batch k alone.

    Batch k has n_targets[k] targets; all gradients have one shape, the result's. A batch may have no target at all:
    its gradient is NaN, a mean over nothing, and it must not count. Some batch has targets.

    >>> accumulate([np.array([1.0, 0.0]), np.array([3.0, 4.0])], [1, 3])
    array([2.5, 3. ])
    """
    raise NotImplementedError


def evaluate(losses: list[float], n_targets: list[int], n_bytes: int) -> tuple[float, float, float]:
    """(loss, perplexity, bits per byte) of a text, from the mean losses of its batches, in nats per token.

    losses[k] is the mean over n_targets[k] tokens, and the last batch is often smaller. The text has n_bytes bytes.
    The perplexity is that of the whole text, and bits per byte all of the text's bits over all of its bytes.

    >>> tuple(round(x, 4) for x in evaluate([math.log(4), math.log(16)], [2, 1], 4))
    (1.8484, 6.3496, 2.0)
    """
    raise NotImplementedError


class Training:
    """SGD with momentum on y = w · x, one example at a time. Complete `snapshot` and `restore`, change nothing else."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.standard_normal(2)
        self.velocity = np.zeros(2)
        self.step = 0
        self.order: list[int] = []  # in which the examples still to come in this epoch are taken, from the end

    def train_step(self) -> float:
        """One step; returns the loss before it."""
        if not self.order:
            self.order.extend(self.rng.permutation(5).tolist())
        i = self.order.pop()
        x = np.array([1.0, i]) + 0.1 * self.rng.standard_normal(2)  # a little noise, as dropout is
        error = self.w @ x - (2 + i)
        self.velocity[:] = 0.9 * self.velocity + error * x
        self.w -= 0.02 / (1 + 0.1 * self.step) * self.velocity
        self.step += 1
        return float(error**2 / 2)

    def snapshot(self) -> dict:
        """All that the steps to come depend on, as a dict that `json.dumps` takes: numbers, texts, lists and dicts.

        It stays as it is when training goes on. A Generator's state is rng.bit_generator.state, a dict; an array has
        `tolist`, which loses no digit.
        """
        raise NotImplementedError

    def restore(self, state: dict) -> None:
        """Go on where `snapshot` was taken, whatever this object did before: the same losses, bit for bit.

        `state` stays as it is, so that one can restore from it again.
        """
        raise NotImplementedError
