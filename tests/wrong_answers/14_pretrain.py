"""Plausible wrong answers to the exercises of lesson 14: each must fail its check."""

import copy
import math

import numpy as np


def learning_rate__starts_at_zero(step, n_steps, warmup_steps, highest, lowest):
    """step / warmup_steps: the first step does nothing."""
    if step < warmup_steps:
        return highest * step / warmup_steps
    share = min((step - warmup_steps) / (n_steps - warmup_steps), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def learning_rate__warms_up_from_the_lowest(step, n_steps, warmup_steps, highest, lowest):
    """The line starts at the lowest rate instead of 0."""
    if step < warmup_steps:
        return lowest + (highest - lowest) * (step + 1) / (warmup_steps + 1)
    share = min((step - warmup_steps) / (n_steps - warmup_steps), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def learning_rate__counts_the_fall_from_step_0(step, n_steps, warmup_steps, highest, lowest):
    """The cosine does not begin at its top: there is a step down after the warm-up."""
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * min(step / n_steps, 1.0))) / 2


def learning_rate__rises_again(step, n_steps, warmup_steps, highest, lowest):
    """Beyond n_steps the cosine goes up."""
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    share = (step - warmup_steps) / (n_steps - warmup_steps)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def learning_rate__ends_one_step_early(step, n_steps, warmup_steps, highest, lowest):
    """The lowest rate at the last step, n_steps − 1."""
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    share = min((step - warmup_steps) / max(n_steps - 1 - warmup_steps, 1), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def accumulate__takes_the_mean_of_means(gradients, n_targets):
    """Right for batches of equal size only."""
    return np.mean([g for g, n in zip(gradients, n_targets, strict=True) if n], axis=0)


def accumulate__is_the_sum(gradients, n_targets):
    """What backward leaves when no loss was divided."""
    return np.sum([g for g, n in zip(gradients, n_targets, strict=True) if n], axis=0)


def accumulate__multiplies_nan_by_zero(gradients, n_targets):
    """0 · NaN is NaN."""
    return sum(g * n for g, n in zip(gradients, n_targets, strict=True)) / sum(n_targets)


def accumulate__divides_by_the_batches(gradients, n_targets):
    """Weighted by targets, and then divided by the number of batches."""
    kept = [g * n for g, n in zip(gradients, n_targets, strict=True) if n]
    return sum(kept) / len(kept)


def accumulate__adds_into_the_first(gradients, n_targets):
    """Saves an array, and spoils the caller's."""
    total = gradients[0]
    total *= n_targets[0]
    if n_targets[0] == 0:
        total[...] = 0
    for g, n in zip(gradients[1:], n_targets[1:], strict=True):
        if n:
            total += g * n
    return total / sum(n_targets)


def evaluate__takes_the_mean_of_the_batches(losses, n_targets, n_bytes):
    """A small last batch counts as much as a full one."""
    loss = sum(losses) / len(losses)
    return loss, math.exp(loss), loss * sum(n_targets) / math.log(2) / n_bytes


def evaluate__averages_perplexities(losses, n_targets, n_bytes):
    """The mean of e^loss is not e^mean."""
    n = sum(n_targets)
    loss = sum(a * b for a, b in zip(losses, n_targets, strict=True)) / n
    perplexity = sum(math.exp(a) * b for a, b in zip(losses, n_targets, strict=True)) / n
    return loss, perplexity, loss * n / math.log(2) / n_bytes


def evaluate__gives_nats_per_byte(losses, n_targets, n_bytes):
    """Forgets ln 2."""
    nats = sum(a * b for a, b in zip(losses, n_targets, strict=True))
    return nats / sum(n_targets), math.exp(nats / sum(n_targets)), nats / n_bytes


def evaluate__gives_bits_per_token(losses, n_targets, n_bytes):
    """Forgets that a token is several bytes."""
    loss = sum(a * b for a, b in zip(losses, n_targets, strict=True)) / sum(n_targets)
    return loss, math.exp(loss), loss / math.log(2)


def evaluate__takes_2_to_the_nats(losses, n_targets, n_bytes):
    """2^loss is the perplexity of a loss in bits."""
    nats = sum(a * b for a, b in zip(losses, n_targets, strict=True))
    return nats / sum(n_targets), 2 ** (nats / sum(n_targets)), nats / math.log(2) / n_bytes


class _Training:
    """The given part, with a snapshot and a restore that are right."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.standard_normal(2)
        self.velocity = np.zeros(2)
        self.step = 0
        self.order = []

    def train_step(self):
        if not self.order:
            self.order.extend(self.rng.permutation(5).tolist())
        i = self.order.pop()
        x = np.array([1.0, i]) + 0.1 * self.rng.standard_normal(2)
        error = self.w @ x - (2 + i)
        self.velocity[:] = 0.9 * self.velocity + error * x
        self.w -= 0.02 / (1 + 0.1 * self.step) * self.velocity
        self.step += 1
        return float(error**2 / 2)

    def snapshot(self):
        arrays = {"w": self.w.tolist(), "velocity": self.velocity.tolist()}
        return arrays | {"rng": self.rng.bit_generator.state, "step": self.step, "order": list(self.order)}

    def restore(self, state):
        self.rng.bit_generator.state = copy.deepcopy(state["rng"])
        self.w, self.velocity = np.array(state["w"]), np.array(state["velocity"])
        self.step, self.order = state["step"], list(state["order"])


class Training__saves_the_weights_alone(_Training):
    """What many a script calls a checkpoint."""

    def restore(self, state):
        self.w = np.array(state["w"])


class Training__forgets_the_velocity(_Training):
    """The momentum starts anew."""

    def restore(self, state):
        velocity = self.velocity
        super().restore(state)
        self.velocity = velocity


class Training__forgets_the_order(_Training):
    """The epoch starts anew: some examples come twice."""

    def restore(self, state):
        super().restore(state)
        self.order = []


class Training__forgets_the_generator(_Training):
    """Other noise, and another order in the next epoch."""

    def restore(self, state):
        generator = self.rng
        before = generator.bit_generator.state
        super().restore(state)
        generator.bit_generator.state = before


class Training__forgets_the_step(_Training):
    """The rate is that of the beginning."""

    def restore(self, state):
        super().restore(state)
        self.step = 0


class Training__rounds(_Training):
    """Six digits look like enough."""

    def snapshot(self):
        state = super().snapshot()
        return state | {"w": [round(x, 6) for x in state["w"]]}


class Training__keeps_the_list_itself(_Training):
    """The snapshot's order is the one that train_step takes from."""

    def snapshot(self):
        return super().snapshot() | {"order": self.order}


class Training__trains_on_the_state(_Training):
    """restore takes the list of the state, and training empties it."""

    def restore(self, state):
        super().restore(state)
        self.order = state["order"]


class Training__gives_arrays(_Training):
    """json.dumps takes no array."""

    def snapshot(self):
        return super().snapshot() | {"w": self.w.copy()}


class Training__returns_nothing(_Training):
    """No return."""

    def snapshot(self):
        super().snapshot()
