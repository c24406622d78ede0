"""DPO: learn from pairs of answers which one is preferred, without a reward model (Rafailov et al. 2023).

    reward(y) = β · (log p(y | x) − log p_ref(y | x))          what the model has come to favour over its reference
    loss      = −log σ(reward(chosen) − reward(rejected))      logistic regression on the margin: equation 7

The reference is the model before training, so its log-probabilities are computed once. Only tokens of answers count.
With label smoothing ε the label is taken to be wrong with probability ε (Mitchell 2023, "A note on DPO with noisy
preferences"): cDPO.

tuning = PreferenceTuning(model, {"train": pairs, "validation": others}, config, beta=0.1)
for report in tuning.train():
    print(report.step, report.loss, tuning.scores("validation").accuracy)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import Tensor, checkpoint, no_grad
from ..data import pad
from ..models import GPT, Llama
from ..nn import Module
from ..ops.linear_cross_entropy import chunk_rows
from ..text import EncodedChat
from .finetune import Evaluated, FineTuneConfig, fine_tune
from .packing import IGNORED

EVALUATION_PAIRS = 32


class EncodedPair(NamedTuple):
    """Two answers to one prompt, each after the prompt's tokens; the loss is about the answers."""

    chosen: EncodedChat
    rejected: EncodedChat


class PairBatch(NamedTuple):
    """2B rows: the B chosen answers, then the rejected ones in the same order."""

    ids: np.ndarray  # (2B, T)
    targets: np.ndarray  # (2B, T): the token after each, where it is one of an answer; −100 elsewhere
    reference: np.ndarray  # (2B,): log-probability of each answer under the reference


def rows_of(chats: Sequence[EncodedChat]) -> tuple[np.ndarray, np.ndarray]:
    """ids and targets, both (N, T), of N encoded texts."""
    ids, _ = pad([chat.ids[:-1] for chat in chats])
    following = [np.where(chat.loss_mask[1:], chat.ids[1:], IGNORED) for chat in chats]
    return ids, pad(following, IGNORED)[0]


def both_answers(pairs: Sequence[EncodedPair], numbers: np.ndarray) -> list[EncodedChat]:
    """Of the pairs with these numbers: the chosen answers, then the rejected ones in the same order."""
    return [pairs[i].chosen for i in numbers] + [pairs[i].rejected for i in numbers]


def score_weight(model: GPT | Llama) -> Tensor:
    """The matrix (V, C) that makes scores of the last vectors."""
    return model.head_weight if isinstance(model, Llama) else model.token_embedding.weight


def sequence_log_probs(model: GPT | Llama, ids: np.ndarray, targets: np.ndarray) -> Tensor:
    """log p of the targets of each row, summed over those that are not −100: (N, T), (N, T) → (N,).

    Scores exist at these only, and of these for a few rows at a time: the backward pass computes them again.
    """
    counted = targets != IGNORED
    hidden, wanted = model.hidden(ids)[counted], targets[counted]  # (n, C), (n,)
    weight = score_weight(model)
    n_rows = chunk_rows(len(weight.data), weight.data.itemsize)
    of_row = np.arange(len(ids))[:, None] == np.nonzero(counted)[0]  # (N, n)
    total = Tensor(np.zeros(len(ids), hidden.dtype))
    for start in range(0, len(wanted), n_rows):
        chunk = slice(start, start + n_rows)
        log_probs = checkpoint(_log_probs, hidden[chunk], weight, wanted[chunk])
        total = total + Tensor(of_row[:, chunk].astype(hidden.dtype)) @ log_probs
    return total


def _log_probs(hidden: Tensor, weight: Tensor, targets: np.ndarray) -> Tensor:
    """(n, C), (V, C), (n,) → (n,)."""
    return -F.cross_entropy(F.linear(hidden, weight), targets, reduction="none")


def dpo_loss(
    policy: Tensor, reference: np.ndarray, beta: float = 0.1, label_smoothing: float = 0.0
) -> tuple[Tensor, np.ndarray]:
    """Log-probabilities (2B,) of chosen and then rejected answers → the mean loss, and the reward margins (B,).

    Raises ValueError for a beta that is not above 0, and a label smoothing outside [0, 0.5).
    """
    require_dpo(beta, label_smoothing)
    n = len(reference) // 2
    rewards = (policy - Tensor(np.asarray(reference, policy.dtype))) * beta
    margins = rewards[:n] - rewards[n:]
    preferred = Tensor(np.full(n, 1 - label_smoothing, policy.dtype))
    return F.binary_cross_entropy_with_logits(margins, preferred), margins.data


def require_dpo(beta: float, label_smoothing: float) -> None:
    if not beta > 0 or not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"DPO: beta must be above 0 and label_smoothing at least 0 and below 0.5, not {beta!r} and "
            f"{label_smoothing!r}"
        )


class Preferring(Module):
    """The language model `base` while it learns preferences: what `fine_tune` trains. `margins` grows by each batch.

    Dropout stays off: noise in log-probabilities that are summed over an answer would drown the margin.
    """

    def __init__(self, base: GPT | Llama, beta: float, label_smoothing: float = 0.0):
        require_dpo(beta, label_smoothing)
        self.base, self.beta, self.label_smoothing = base, beta, label_smoothing
        self.margins: list[float] = []

    def train(self, mode: bool = True) -> Module:
        return super().train(False)

    def loss(self, ids: np.ndarray, targets: np.ndarray, reference: np.ndarray) -> Tensor:
        policy = sequence_log_probs(self.base, ids, targets)
        loss, margins = dpo_loss(policy, reference, self.beta, self.label_smoothing)
        self.margins.append(float(margins.mean()))
        return loss


@dataclass(frozen=True)
class PreferenceScores:
    """What a model and its reference make of n pairs. The first column is about the chosen answers."""

    policy: np.ndarray  # (n, 2): log-probability of each answer
    reference: np.ndarray  # (n, 2)
    beta: float
    label_smoothing: float = 0.0

    @property
    def rewards(self) -> np.ndarray:
        return self.beta * (self.policy - self.reference)

    @property
    def margins(self) -> np.ndarray:
        """(n,): how much more the chosen answer gained than the other."""
        return self.rewards[:, 0] - self.rewards[:, 1]

    @property
    def prefers(self) -> np.ndarray:
        """(n,): 1 where the model holds the chosen answer likelier, ½ for a tie, else 0."""
        return (np.sign(self.policy[:, 0] - self.policy[:, 1]) + 1) / 2

    @property
    def rewards_right(self) -> np.ndarray:
        """(n,): 1 where the chosen answer gained more, ½ for a tie, else 0; ½ for all before training."""
        return (np.sign(self.margins) + 1) / 2

    @property
    def accuracy(self) -> float:
        """The share of pairs of which the model holds the chosen answer likelier; defined before training too."""
        return float(self.prefers.mean())

    @property
    def reward_accuracy(self) -> float:
        """The share of pairs in which the chosen answer gained more than the other."""
        return float(self.rewards_right.mean())

    @property
    def loss(self) -> float:
        positive, negative = np.logaddexp(0, -self.margins), np.logaddexp(0, self.margins)  # −log σ(m), −log σ(−m)
        return float(((1 - self.label_smoothing) * positive + self.label_smoothing * negative).mean())


def pair_log_probs(model: GPT | Llama, pairs: Sequence[EncodedPair]) -> np.ndarray:
    """(n, 2): log-probability of each chosen and each rejected answer."""
    found = np.zeros((len(pairs), 2))
    order = np.argsort([-max(len(each.ids) for each in pair) for pair in pairs], kind="stable")
    with no_grad():
        for start in range(0, len(order), EVALUATION_PAIRS):
            numbers = order[start : start + EVALUATION_PAIRS]
            found[numbers] = sequence_log_probs(model, *rows_of(both_answers(pairs, numbers))).data.reshape(2, -1).T
    return found


class PreferenceTuning:
    """A model, its pairs by part ("train", "validation" and any others), and what it thought of them at the start.

    A model with adapters trains those; see nn/lora.py. Raises ValueError where a part is missing or empty, and for
    impossible beta and label smoothing.
    """

    def __init__(
        self,
        base: GPT | Llama,
        pairs: Mapping[str, Sequence[EncodedPair]],
        config: FineTuneConfig,
        beta: float = 0.1,
        label_smoothing: float = 0.0,
    ):
        empty = [part for part in ("train", "validation", *pairs) if not pairs.get(part)]
        if empty:
            raise ValueError(f"preference tuning needs pairs for {empty[0]}, and there are none: give more")
        self.model = Preferring(base.eval(), beta, label_smoothing)
        self.pairs, self.config = pairs, config
        self.reference = {part: pair_log_probs(base, each) for part, each in pairs.items()}
        self.validation: PreferenceScores | None = None  # at the last evaluation

    @property
    def n_steps(self) -> int:
        """At most; training may end earlier."""
        return self.config.n_steps(len(self.pairs["train"]))

    def train(self) -> Iterator[Evaluated]:
        """As `fine_tune`: the weights with the least loss on the validation part are kept. Its score is minus that."""
        n = len(self.pairs["train"])
        return fine_tune(self.model, self._batches(), self._score, self.config, n)

    def _score(self) -> float:
        self.validation = self.scores("validation")
        return -self.validation.loss

    def scores(self, part: str) -> PreferenceScores:
        policy = pair_log_probs(self.model.base, self.pairs[part])
        return PreferenceScores(policy, self.reference[part], self.model.beta, self.model.label_smoothing)

    def _batches(self) -> Iterator[PairBatch]:
        """Endless: each pair once per pass, in random order."""
        rng, pairs, size = np.random.default_rng(self.config.seed), self.pairs["train"], self.config.batch_size
        while True:
            order = rng.permutation(len(pairs))
            for start in range(0, len(order), size):
                numbers = order[start : start + size]
                yield PairBatch(*rows_of(both_answers(pairs, numbers)), self.reference["train"][numbers].T.reshape(-1))
