"""`Pairs`: what a run teaches an encoder-decoder. The methods are those of `NextToken` in objectives.py."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..applications.translate import translate
from ..data import Pair, read_pairs
from ..data.pair_batches import PairBatches, encode_pair, frame_id
from ..evaluate.pairs import PairsEvaluation, evaluate_pairs
from ..nn import Module
from ..train import Run
from ..train.metrics import evaluating
from ..train.pairs import PairCorpus, read_pair_corpus, read_pair_file, train_pair_tokenizer, write_pair_files

SHOWN = 8  # pairs in a sample


@dataclass(frozen=True)
class PairsResult:
    """On the test part, or while training on the validation part; and on what lies beyond the range, if there is."""

    inside: PairsEvaluation
    beyond: PairsEvaluation | None = None

    @property
    def loss(self) -> float:
        return self.inside.loss


@dataclass(frozen=True)
class Pairs:
    """Write the target of a source."""

    run: Run
    unit = "nats per token"
    logged = "validation_loss"
    measures: ClassVar = {
        "loss": ("loss (nats per token)", ".4f"),
        "exact_match": ("targets written exactly", ".2%"),
        "chrf": ("chrF", ".2f"),
        "n_pairs": ("pairs", ",d"),
        "beyond_exact_match": ("  beyond the range: exactly", ".2%"),
        "beyond_chrf": ("  beyond the range: chrF", ".2f"),
    }
    read = staticmethod(read_pair_corpus)
    train_tokenizer = staticmethod(train_pair_tokenizer)

    @staticmethod
    def facts(corpus: PairCorpus) -> dict[str, Any]:
        return {}

    def write(self, corpus: PairCorpus, show: Callable) -> str:
        """Into the run's folder; in words what was written."""
        return write_pair_files(self.run.folder, corpus, self.run.tokenizer, self.run.config.max_seq_len)

    def batches(self) -> PairBatches:
        """Raises ValueError where the pairs of the run are damaged."""
        config, tokenizer = self.run.config, self.run.tokenizer
        encoded = [encode_pair(tokenizer, pair) for pair in read_pair_file(self.run.folder, "train")]
        return PairBatches(encoded, config.batch_size, frame_id(tokenizer), config.seed)

    def check(self) -> None:
        """Raises ValueError where the pairs to measure by are damaged: before the first step, not after the last."""
        for part in ("validation", "test", "beyond"):
            read_pair_file(self.run.folder, part)

    def evaluate(self, model: Module, max_tokens: int | None = None) -> PairsResult:
        """On all of the test part; with `max_tokens` on so many tokens of the validation part, for any choice."""
        if max_tokens is not None:
            return PairsResult(
                self._measure(model, self._beginning(read_pair_file(self.run.folder, "validation"), max_tokens))
            )
        parts = (read_pair_file(self.run.folder, part) for part in ("test", "beyond"))
        return PairsResult(*(self._measure(model, pairs) if pairs else None for pairs in parts))

    def evaluate_files(self, model: Module, paths: Sequence[str], encoding: str) -> dict[str, float]:
        """On other pairs."""
        config = self.run.config
        columns = (config.source_column or None, config.target_column or None)
        return self.measured(PairsResult(self._measure(model, read_pairs(paths, *columns, encoding=encoding).examples)))

    def _measure(self, model: Module, pairs: Sequence[Pair]) -> PairsEvaluation:
        with evaluating(model):
            return evaluate_pairs(model, self.run.tokenizer, pairs)

    def _beginning(self, pairs: Sequence[Pair], max_tokens: int) -> Sequence[Pair]:
        """The first pairs, of `max_tokens` together, or the first one."""
        sizes = [sum(map(len, encode_pair(self.run.tokenizer, pair))) for pair in pairs]
        return pairs[: max(int(np.searchsorted(np.cumsum(sizes), max_tokens, side="right")), 1)]

    def measured(self, result: PairsResult) -> dict[str, float]:
        return dataclasses.asdict(result.inside) | _beyond(result)

    def scaled(self, loss: float) -> float:
        return loss

    def training(self, loss: float) -> str:
        return f"loss {loss:.3f} nats/token"

    def validation(self, result: PairsResult) -> tuple[dict[str, float], str]:
        found = result.inside
        numbers = {"validation_loss": found.loss, "validation_exact_match": found.exact_match}
        text = f"{found.loss:.3f} nats/token, {found.exact_match:.1%} of {found.n_pairs:,} written exactly"
        return numbers | {"validation_chrf": found.chrf}, f"{text}, chrF {found.chrf:.1f}"

    def summary(self, result: PairsResult) -> dict[str, float]:
        found = dataclasses.asdict(result.inside).items()
        return {f"test_{name}": value for name, value in found} | _beyond(result)

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        rows = {
            "unseen targets written exactly": f"{summary['test_exact_match']:.1%} of {summary['test_n_pairs']:,}",
            "their chrF": f"{summary['test_chrf']:.1f}",
            "their loss, nats per token": f"{summary['test_loss']:.4f}",
        }
        if "beyond_exact_match" in summary:
            exact, chrf = summary["beyond_exact_match"], summary["beyond_chrf"]
            rows["beyond the range: exactly, chrF"] = f"{exact:.1%}, {chrf:.1f}"
        return rows

    def levels(self, summary: dict[str, Any]) -> dict[str, float]:
        return {}

    def sample(self, model: Module, seed: Sequence[int]) -> str:
        """Some pairs of the validation part, and what the model writes."""
        pairs = read_pair_file(self.run.folder, "validation")
        some = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))[:SHOWN]]
        written = translate(model, self.run.tokenizer, [pair.source for pair in some])
        shown = (
            f"{pair.source}\n→ {found.text}" + ("" if found.text == pair.target else f"\nwanted: {pair.target}")
            for pair, found in zip(some, written, strict=True)
        )
        return "\n\n".join(shown)

    def command(self) -> str:
        source = read_pair_file(self.run.folder, "validation")[0].source.splitlines()[0]
        return f"tinygrad-llm translate --from {shlex.quote(str(self.run.folder))} {shlex.quote(source)}"


def _beyond(result: PairsResult) -> dict[str, float]:
    if result.beyond is None:
        return {}
    return {"beyond_exact_match": result.beyond.exact_match, "beyond_chrf": result.beyond.chrf}
