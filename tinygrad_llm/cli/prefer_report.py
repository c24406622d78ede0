"""What `tinygrad-llm finetune prefer` says at the end: which held-out pairs are told right before and after, how far
the model has moved from its reference, and what that has cost: the loss on plain text and on good answers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..autograd import no_grad
from ..data import embedded_corpus, join_documents
from ..data.preferences import Preference
from ..evaluate import bootstrap_interval, paired_bootstrap
from ..files import write_json
from ..models import GPT, Llama
from ..plots import loss_curve
from ..text import Tokenizer
from ..train.dpo import PreferenceScores, PreferenceTuning
from ..train.fine_tuned import BASE
from ..train.preference_baselines import length_baseline, ngram_baseline
from ..train.preference_kl import kl_to_reference, sample_answers
from ..train.preference_rows import AnswerFrame
from .cost import assumption, cost_rows
from .display import duration

PLAIN_TOKENS = 16_384  # of Python's manual, for the loss on plain text
LONGEST_ANSWER = 64  # tokens of a drawn answer


@dataclass(frozen=True)
class Snapshot:
    """A model at one time, on the test part."""

    scores: PreferenceScores
    kl: dict[str, float]  # to the reference, nats per token of chosen, rejected and drawn answers
    plain_loss: float  # nats per token of plain text
    answer_loss: float  # nats per token of chosen answers
    samples: list[str]


@dataclass(frozen=True)
class Measured:
    before: Snapshot
    after: Snapshot
    train: Sequence[Preference]
    test: Sequence[Preference]
    margins: Sequence[float]  # at each step
    history: Sequence[dict]


def measure(
    tuning: PreferenceTuning, frame: AnswerFrame, prompts: Sequence[str], reference: GPT | Llama | None, seed: int
) -> Snapshot:
    """`reference` None: the model with its adapters off. The same seed draws the same numbers before and after."""
    model, pairs = tuning.model.base.eval(), tuning.pairs["test"]
    scores = tuning.scores("test")
    chosen, rejected = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    ids = [frame.prompt_ids(prompt) for prompt in prompts]
    drawn = sample_answers(model, ids, LONGEST_ANSWER, frame.end, np.random.default_rng(seed))
    texts = {"chosen": chosen, "rejected": rejected, "drawn": drawn}
    kl = {name: kl_to_reference(model, chats, reference) for name, chats in texts.items()}
    n_tokens = sum(sum(chat.loss_mask) for chat in chosen)
    end = frame.tokenizer.decode(frame.end)
    samples = [
        frame.tokenizer.decode(
            [i for i, is_answer in zip(chat.ids, chat.loss_mask, strict=True) if is_answer]
        ).removesuffix(end)
        for chat in drawn
    ]
    answer_loss = -float(scores.policy[:, 0].sum()) / n_tokens
    return Snapshot(scores, kl, plain_loss(model, frame.tokenizer), answer_loss, samples)


def plain_loss(model: GPT | Llama, tokenizer: Tokenizer) -> float:
    """Nats per token of the first pages of Python's manual."""
    characters = join_documents(embedded_corpus("topics"))[: 8 * PLAIN_TOKENS]
    tokens = np.array(tokenizer.encode(characters)[: PLAIN_TOKENS + 1])
    T = min(model.config.max_seq_len, len(tokens) - 1)
    n = (len(tokens) - 1) // T
    x, y = tokens[: n * T].reshape(n, T), tokens[1 : n * T + 1].reshape(n, T)
    with no_grad():
        losses = [model.loss(x[i : i + 8], y[i : i + 8]).item() * len(x[i : i + 8]) for i in range(0, n, 8)]
    return sum(losses) / n


def write_report(building: Path, out: Path, found: Measured, facts: dict[str, Any], console: Console) -> None:
    """Write report.json and margins.png into `building`, and show the results."""
    rng, before, after = np.random.default_rng(0), found.before.scores, found.after.scores
    baselines = {"length": length_baseline(found.train, found.test), "n-grams": ngram_baseline(found.train, found.test)}
    accuracy = [bootstrap_interval(np.mean, scores.prefers, rng=rng) for scores in (before, after)]
    gained = bootstrap_interval(np.mean, after.rewards_right, rng=rng)
    gain = paired_bootstrap(_share, np.ones(len(found.test)), after.prefers, before.prefers, rng=rng)
    table = Table("on the test part", "before", "after", title=f"{out.name}: {len(found.test):,} pairs never seen")
    table.add_row("held the chosen answer likelier", *map(str, accuracy))
    for kind in dict.fromkeys(each.kind for each in found.test if each.kind):
        of_kind = [each.kind == kind for each in found.test]
        shares = [f"{scores.prefers[of_kind].mean():.3f}" for scores in (before, after)]
        table.add_row(f"  {kind} ({sum(of_kind):,})", *shares)
    table.add_row("chosen answer gained more than the other", "½ by definition", str(gained))
    table.add_row("reward margin", f"{before.margins.mean():.3f}", f"{after.margins.mean():.3f}")
    table.add_row("DPO loss", f"{before.loss:.4f}", f"{after.loss:.4f}")
    for name, kl in found.after.kl.items():
        table.add_row(f"KL to the reference, {name} answers", f"{found.before.kl[name]:.4f}", f"{kl:.4f}")
    table.add_row("loss on chosen answers", f"{found.before.answer_loss:.3f}", f"{found.after.answer_loss:.3f}")
    table.add_row("loss on plain text", f"{found.before.plain_loss:.3f}", f"{found.after.plain_loss:.3f}")
    table.add_row("wall time", "", duration(facts["seconds"]))
    for name, value in cost_rows(facts).items():
        table.add_row(name, "", value)
    console.print(table)
    console.print(Text(assumption(facts)), soft_wrap=True)
    console.print(Text(f"gain: {gain}"))
    shown = ", ".join(f"{name} {right.mean():.3f}" for name, right in baselines.items())
    console.print(Text(f"told right without the prompts, by simple rules: {shown}"))
    margins = list(enumerate(found.margins, start=1))
    held_out = [(each["step"], each["margin"]) for each in found.history]
    loss_curve(building / "margins.png", margins, held_out, unit="reward margin", title="chosen less rejected")
    test = {
        "accuracy": [each.as_dict() for each in accuracy],
        "gain": gain.interval.as_dict() | {"p_value": gain.p_value},
        "reward_accuracy": gained.as_dict(),
        "by_kind": _by_kind(found, baselines),
        "baselines": {name: float(right.mean()) for name, right in baselines.items()},
    }
    for name, one in (("before", found.before), ("after", found.after)):
        numbers = {"margin": float(one.scores.margins.mean()), "loss": one.scores.loss, "kl": one.kl}
        test[name] = numbers | {"plain_loss": one.plain_loss, "answer_loss": one.answer_loss}
    samples = [
        {"prompt": each.prompt, "before": old, "after": new}
        for each, old, new in zip(found.test, found.before.samples, found.after.samples, strict=False)
    ]
    write_json(building / "report.json", facts | {"margins": list(found.margins), "test": test, "samples": samples})
    for sample in samples[:3]:
        console.print(Text(f"{sample['prompt']}\n  before: {sample['before']!r}\n  after:  {sample['after']!r}"))
    console.print(Text(f"the model is in {shlex.quote(str(out / BASE))}"), soft_wrap=True)


def _share(_, right: np.ndarray) -> float:
    return float(right.mean())


def _by_kind(found: Measured, baselines: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    kinds = np.array([each.kind for each in found.test])
    columns = {"before": found.before.scores.prefers, "after": found.after.scores.prefers} | baselines
    return {
        str(kind): {"n": int((kinds == kind).sum())}
        | {name: float(right[kinds == kind].mean()) for name, right in columns.items()}
        for kind in sorted(set(kinds))
    }
