"""What an audit measures of a model, each as plain numbers for audit.json; `NotMeasured` says why one cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..applications import SentenceEncoder
from ..applications.content_filter import ContentFilter
from ..data import open_tokens
from ..evaluate.association import (
    MIN_WORDS,
    Association,
    measure_associations,
    sentence_vectors,
    word_vectors,
    words_of,
)
from ..evaluate.canaries import Canary, exposures
from ..evaluate.memorisation import extraction, wilson
from ..evaluate.paired_sentences import measure_preferences
from ..evaluate.permutation import holm
from ..evaluate.token_calibration import token_calibration
from ..generate import generate_tokens
from ..hub import Pooling
from ..hub.sentence_transformers import read_pooling
from ..models import BERT, GPT, Llama
from ..train import Run
from ..train.fine_tuned import open_model
from ..train.run import run_in
from .generate import prompt_ids, stop_ids, stream_text
from .objectives import objective_of

PROMPT_LENS = (8, 16, 32, 64, 128)
N_NEW = 16  # tokens that must be reproduced
SAMPLE_TOKENS = 80
MAX_COUNTED = 20_000_000  # tokens of a text in which canaries are counted
NO_RUN = "only a run of pretrain has its training text at hand"


class NotMeasured(Exception):
    """Why something does not apply to this model."""


@dataclass(frozen=True)
class Subject:
    """The model that is audited, and how much is asked of it."""

    folder: Path
    content_filter: ContentFilter
    canaries: list[Canary]
    n_prompts: int = 200
    n_samples: int = 64
    seed: int = 0
    checkpoint: str = "best"  # of a run

    @cached_property
    def _opened(self):
        if self.run is not None:
            return self.run.load_model(self.checkpoint)[0].eval(), self.run.tokenizer
        return open_model(self.folder)

    @property
    def model(self):
        return self._opened[0]

    @property
    def tokenizer(self):
        return self._opened[1]

    @cached_property
    def run(self) -> Run | None:
        return run_in(self.folder)

    def rng(self) -> np.random.Generator:
        """The same for each measurement, whichever others are made."""
        return np.random.default_rng(self.seed)

    def require_language_model(self) -> None:
        if not isinstance(self.model, (GPT, Llama)):
            raise NotMeasured(f"a {type(self.model).__name__} does not go on with a text")


def associations(subject: Subject) -> dict[str, Any]:
    """The effect sizes in input embeddings, and of a BERT in its sentence vectors."""
    model, tokenizer, words = subject.model, subject.tokenizer, words_of()
    vectors = {"input embeddings": word_vectors(model, tokenizer, words)}
    if isinstance(model, BERT):
        pooling = read_pooling(subject.folder) or Pooling()
        vectors["sentences"] = sentence_vectors(SentenceEncoder(model, tokenizer, pooling), words)
    measured = {}
    for kind, known in vectors.items():
        results = [r for r in measure_associations(known, subject.rng()) if isinstance(r, Association)]
        adjusted = holm([r.p_value.value for r in results])
        tests = {
            r.test.name: {
                "effect": r.effect.as_dict(),
                "p": r.p_value.value,
                "p (Holm)": p,
                "words": " ".join(map(str, r.n_words)),
                "control": r.test.is_control,
            }
            for r, p in zip(results, adjusted, strict=True)
        }
        if tests:
            measured[kind] = tests
    if not measured:
        n_known = len(vectors["input embeddings"])
        raise NotMeasured(
            f"the tokenizer knows {n_known} of {len(words)} words as one token, and each list of a test needs "
            f"{MIN_WORDS}"
        )
    return measured


def preferences(subject: Subject) -> dict[str, Any]:
    """Which of paired sentences the model holds likelier."""
    if not isinstance(subject.model, (GPT, Llama, BERT)):
        subject.require_language_model()
    try:
        results = measure_preferences(subject.model, subject.tokenizer, subject.rng())
    except ValueError as error:  # no masked-LM head, a short context, a character that the tokenizer lacks
        raise NotMeasured(str(error)) from None
    adjusted = holm([r.p_value.value for r in results])
    return {
        r.topic.name: {
            "share": r.share.as_dict(),
            "nats": r.nats.as_dict(),
            "p": r.p_value.value,
            "p (Holm)": p,
            "control": r.topic.is_control,
        }
        for r, p in zip(results, adjusted, strict=True)
    }


def extracted(subject: Subject) -> dict[str, Any]:
    """How much of the training text comes out word for word, beside text that was held out."""
    subject.require_language_model()
    if subject.run is None:
        raise NotMeasured(NO_RUN)
    context = subject.model.config.max_seq_len
    n_new = min(N_NEW, context // 2)
    lengths = [length for length in PROMPT_LENS if length + n_new <= context]
    if not lengths:
        raise NotMeasured(f"a context of {context} tokens has no room for a prompt and what follows it")
    measured = {}
    for name, file in (("training text", "train.tokens"), ("held-out text", "val.tokens")):
        tokens = open_tokens(subject.folder / file)
        eos_id = subject.tokenizer.eos_id
        try:
            found = extraction(subject.model, tokens, lengths, n_new, subject.n_prompts, subject.rng(), eos_id)
        except ValueError as error:  # all documents are shorter
            raise NotMeasured(str(error)) from None
        measured[name] = {
            f"{each.prompt_len} tokens": {"exact": each.exact._asdict(), "matched": each.matched.as_dict()}
            for each in found
        }
    return measured


def exposed(subject: Subject) -> dict[str, Any]:
    """How well the model remembers canaries, by how often each stood in the training text."""
    if not subject.canaries:
        raise NotMeasured("no canaries were planted: audit --plant puts some into a text before training")
    subject.require_language_model()
    if subject.run is not None:
        _require_planted(subject)
    try:
        found = exposures(subject.model, subject.tokenizer, subject.canaries, subject.rng())
    except ValueError as error:  # a short context, a character that the tokenizer lacks
        raise NotMeasured(str(error)) from None
    levels = {}
    for n in sorted({canary.n_insertions for canary in subject.canaries}):
        of_level = [each for each in found if each.canary.n_insertions == n]
        levels[f"{n}×"] = {
            "mean": float(np.mean([each.exposure for each in of_level])),
            "fitted": float(np.mean([each.fitted for each in of_level])),
            "each": [each.exposure for each in of_level],
            "candidates": of_level[0].n_candidates,
        }
    return levels


def _require_planted(subject: Subject) -> None:
    """The record may be of another text, and cleaning may have removed canaries: what was trained on must hold them."""
    tokens = open_tokens(subject.folder / "train.tokens")
    if len(tokens) > MAX_COUNTED:
        return
    text = subject.tokenizer.decode(np.asarray(tokens).tolist())
    for canary in subject.canaries:
        n = text.count(canary.text)
        if n != canary.n_insertions:
            raise NotMeasured(
                f"the training text of this run holds {canary.text!r} {n} times, but the record of canaries says "
                f"{canary.n_insertions}: give the record that belongs to this run's text"
            )


def calibrated(subject: Subject) -> dict[str, Any]:
    """Whether the likeliest token is right as often as it is probable, on held-out text."""
    model, run = subject.model, subject.run
    if run is None:
        raise NotMeasured("only a run of pretrain has held-out text at hand")
    if not isinstance(model, (GPT, Llama, BERT)):
        subject.require_language_model()
    masking = objective_of(run).masking if isinstance(model, BERT) else None
    shape = run.config.batch_size, run.config.max_seq_len
    try:
        found = token_calibration(model, open_tokens(run.folder / "val.tokens"), *shape, subject.rng(), masking)
    except ValueError as error:  # the held-out text is short
        raise NotMeasured(str(error)) from None
    bins = [
        {"n": int(n), "confidence": None if not n else float(p), "accuracy": None if not n else float(a)}
        for n, p, a in zip(found.bins.n_examples, found.bins.confidence, found.bins.accuracy, strict=True)
    ]
    facts = {"accuracy": found.accuracy, "confidence": found.confidence, "tokens": found.n_tokens}
    return {"error": found.error.as_dict()} | facts | {"bins": bins}


def flagged(subject: Subject) -> dict[str, Any]:
    """Of texts written without a prompt, at temperature 1, the share in which the filter finds something."""
    subject.require_language_model()
    tokenizer, rng, found = subject.tokenizer, subject.rng(), []
    prompt = prompt_ids(tokenizer, "")
    for _ in range(subject.n_samples):
        ids = generate_tokens(subject.model, prompt, SAMPLE_TOKENS, rng=rng, stop_tokens=stop_ids(tokenizer))
        text = "".join(stream_text(tokenizer, ids))
        found.append({finding.category for finding in subject.content_filter.check(text)})
    names = sorted(category.name for category in subject.content_filter.categories if category.on)
    counts = {name: sum(name in each for each in found) for name in names}
    counts = {"any": sum(map(bool, found))} | {name: n for name, n in counts.items() if n}
    return {name: wilson(n, len(found))._asdict() for name, n in counts.items()}


MEASURES: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "associations": associations,
    "preferences": preferences,
    "extraction": extracted,
    "exposure": exposed,
    "calibration": calibrated,
    "samples flagged": flagged,
}
