"""What a run teaches its model: its batches, how it is measured and shown. All in which the objectives differ is here.

NextToken   GPT, Llama   predict each next token    bits per byte, beside zlib and lzma
Blanks      BERT         guess the hidden tokens    nats per blank, beside a guess by frequency
Pairs       Seq2Seq      write the target           nats per token, and targets written exactly; see pairs.py
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data import (
    CompressionBaseline,
    Document,
    RandomBatches,
    TokenHeader,
    compression_bits_per_byte,
    join_documents,
    open_tokens,
    read_token_header,
    sequential_batches,
    write_tokens,
)
from ..data.masking import IGNORED, MaskedBatches, Masking, mask_tokens, masked_windows
from ..evaluate.blanks import BlanksEvaluation, evaluate_blanks, token_log_probabilities
from ..nn import Module
from ..train import Corpus, Evaluation, Run, evaluate, read_corpus, train_tokenizer
from ..train.corpus import encoded_files, first_characters
from ..train.metrics import bits_per_byte, evaluating
from .generate import sample_text
from .pairs import Pairs

PRIMING_CHARACTERS = 16 << 20  # of the training text, for the baseline of an lzma that has read it


@dataclass(frozen=True)
class OnText:
    """What `NextToken` and `Blanks` have in common: a text, in files of tokens."""

    run: Run
    read = staticmethod(read_corpus)
    train_tokenizer = staticmethod(train_tokenizer)

    def write(self, corpus: Corpus, show: Callable[[TokenHeader], None]) -> str:
        """Into the run's folder; in words what was written. `show` is told now and then how far it is."""
        folder, tokenizer = self.run.folder, self.run.tokenizer
        training = write_tokens(folder / "train.tokens", corpus.train, tokenizer, show)
        validation = write_tokens(folder / "val.tokens", corpus.validation, tokenizer)
        return f"{training.n_tokens:,} tokens for training, {validation.n_tokens:,} for validation"

    def evaluate_files(self, model: Module, paths: Sequence[str], encoding: str) -> dict[str, float]:
        """On other text."""
        with encoded_files(paths, encoding, self.run.tokenizer) as (path, documents):
            return self.measured(self.evaluate(model, path), documents)


def without_priming(documents: list[Document]) -> CompressionBaseline:
    """What compressors make of other text than a run's."""
    return compression_bits_per_byte("", join_documents(documents))


def beside(result: Evaluation, baselines: CompressionBaseline) -> dict[str, float]:
    """What is measured of a model that writes, beside compressors on the same text."""
    return {
        "loss": result.loss,
        "perplexity": result.perplexity,
        "bits_per_byte": result.bits_per_byte,
        "zlib_bits_per_byte": baselines.zlib_bits_per_byte,
        "lzma_bits_per_byte": baselines.lzma_bits_per_byte,
        "tokens": result.n_targets,
    }


@dataclass(frozen=True)
class NextToken(OnText):
    """Predict each next token."""

    unit = "bits per byte"
    logged = "validation_bits_per_byte"  # what the loss curve shows of the log
    measures: ClassVar = {  # of `evaluate`: what each number is called, and how it is written
        "loss": ("loss (nats per token)", ".4f"),
        "perplexity": ("perplexity", ",.2f"),
        "bits_per_byte": ("bits per byte", ".3f"),
        "zlib_bits_per_byte": ("zlib's bits per byte", ".3f"),
        "lzma_bits_per_byte": ("lzma's bits per byte", ".3f"),
        "tokens": ("tokens predicted", ",d"),
    }

    @staticmethod
    def facts(corpus: Corpus) -> dict[str, Any]:
        """For corpus.json: what zlib and lzma make of the validation text."""
        train_text = join_documents(first_characters(corpus.train, PRIMING_CHARACTERS))
        baselines = compression_bits_per_byte(train_text, join_documents(corpus.validation))
        return {"baselines": dataclasses.asdict(baselines)}

    @cached_property
    def baselines(self) -> CompressionBaseline:
        return self.run.baselines

    @cached_property
    def bytes_per_token(self) -> float:
        header = read_token_header(self.run.folder / "train.tokens")
        return header.text_bytes / header.n_tokens

    def batches(self) -> RandomBatches:
        """Raises ValueError where the training text is shorter than the context, or the validation text than two
        tokens."""
        config, folder = self.run.config, self.run.folder
        sequential_batches(open_tokens(folder / "val.tokens"), config.batch_size, config.max_seq_len)  # checks it
        tokens = open_tokens(folder / "train.tokens")
        return RandomBatches(tokens, config.batch_size, config.max_seq_len, config.seed)

    def check(self) -> None:
        """Raises ValueError where the baselines are damaged: before the first step, not after the last."""
        _ = self.baselines

    def evaluate(self, model: Module, path: Path | None = None, max_tokens: int | None = None) -> Evaluation:
        """The model on a token file, or on its first `max_tokens`; without a path on the validation text."""
        path, config = path or self.run.folder / "val.tokens", self.run.config
        text_bytes = read_token_header(path).text_bytes
        return evaluate(model, open_tokens(path), text_bytes, config.batch_size, config.max_seq_len, max_tokens)

    def measured(self, result: Evaluation, documents: list[Document] | None = None) -> dict[str, float]:
        """For `evaluate`; of documents, if the text was another one."""
        return beside(result, self.baselines if documents is None else without_priming(documents))

    def scaled(self, loss: float) -> float:
        """A loss in training, in the unit of the loss curve."""
        return bits_per_byte(loss, self.bytes_per_token)

    def training(self, loss: float) -> str:
        """For the display."""
        return f"loss {loss:.3f}  {self.scaled(loss):.3f} bits/byte"

    def validation(self, result: Evaluation) -> tuple[dict[str, float], str]:
        """For the log, and for the display."""
        numbers = {"validation_loss": result.loss, "validation_bits_per_byte": result.bits_per_byte}
        return numbers, f"{result.bits_per_byte:.3f} bits/byte"

    def summary(self, result: Evaluation) -> dict[str, float]:
        return {
            "val_bits_per_byte": result.bits_per_byte,
            **dataclasses.asdict(self.baselines),
            "val_loss": result.loss,
            "val_perplexity": result.perplexity,
        }

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """For the table at the end."""
        return {
            "validation bits per byte": f"{summary['val_bits_per_byte']:.3f}",
            "  zlib on the same text": f"{summary['zlib_bits_per_byte']:.3f}",
            "  lzma on the same text": f"{summary['lzma_bits_per_byte']:.3f}",
            "  lzma after the training text": f"{summary['lzma_primed_bits_per_byte']:.3f}",
            "validation loss, perplexity": f"{summary['val_loss']:.3f}, {summary['val_perplexity']:.2f}",
        }

    def levels(self, summary: dict[str, Any]) -> dict[str, float]:
        """Dashed lines in the loss curve."""
        return {"zlib": summary["zlib_bits_per_byte"], "lzma": summary["lzma_bits_per_byte"]}

    def sample(self, model: Module, seed: Sequence[int]) -> str:
        return sample_text(self.run, model, self.run.config.sample_tokens, seed)

    def command(self) -> str:
        """What to do with the model."""
        return f"tinygrad-llm generate --run {shlex.quote(str(self.run.folder))} --prompt 'The '"


@dataclass(frozen=True)
class Blanks(OnText):
    """Guess the hidden tokens. The methods are those of `NextToken`."""

    unit = "nats per blank"
    logged = "validation_loss"
    measures: ClassVar = {
        "loss": ("loss (nats per blank)", ".4f"),
        "accuracy": ("part of the blanks guessed", ".2%"),
        "unigram_loss": ("loss by frequency alone", ".4f"),
        "unigram_accuracy": ("always the most frequent token", ".2%"),
        "n_blanks": ("blanks", ",d"),
    }

    @staticmethod
    def facts(corpus: Corpus) -> dict[str, Any]:
        return {}

    @cached_property
    def masking(self) -> Masking:
        tokenizer, config = self.run.tokenizer, self.run.config
        continues_word = frozenset(number for number, token in enumerate(tokenizer.tokens) if token.startswith("##"))
        special_ids = frozenset(tokenizer.special_tokens.values())
        settings = {"share": config.mask_share, "whole_words": config.whole_words}
        settings["frame"] = (tokenizer.cls_id, tokenizer.sep_id)
        return Masking(tokenizer.mask_id, tokenizer.vocab_size, special_ids, continues_word, **settings)

    @cached_property
    def baselines(self) -> np.ndarray:
        """ln p (V,) of each token by its frequency in the training text."""
        return token_log_probabilities(open_tokens(self.run.folder / "train.tokens"), self.masking)

    def batches(self) -> MaskedBatches:
        """Raises ValueError where the training or the validation text is shorter than the context."""
        config, folder = self.run.config, self.run.folder
        next(masked_windows(open_tokens(folder / "val.tokens"), 1, config.max_seq_len, self.masking))  # checks it
        tokens = open_tokens(folder / "train.tokens")
        return MaskedBatches(tokens, config.batch_size, config.max_seq_len, self.masking, config.seed)

    def check(self) -> None:
        _ = self.baselines

    def evaluate(self, model: Module, path: Path | None = None, max_tokens: int | None = None) -> BlanksEvaluation:
        """Of `max_tokens` at least one window is read."""
        tokens, config = open_tokens(path or self.run.folder / "val.tokens"), self.run.config
        part = tokens if max_tokens is None else tokens[: max(max_tokens, config.max_seq_len + 1)]
        with evaluating(model):
            shape = (config.batch_size, config.max_seq_len)
            return evaluate_blanks(model, part, self.masking, self.baselines, *shape)

    def measured(self, result: BlanksEvaluation, documents: list[Document] | None = None) -> dict[str, float]:
        return dataclasses.asdict(result)

    def scaled(self, loss: float) -> float:
        return loss

    def training(self, loss: float) -> str:
        return f"loss {loss:.3f} nats/blank"

    def validation(self, result: BlanksEvaluation) -> tuple[dict[str, float], str]:
        names = {"loss": "validation_loss", "accuracy": "validation_accuracy", "unigram_loss": "unigram_loss"}
        numbers = {name: getattr(result, field) for field, name in names.items()}
        text = f"{result.loss:.3f} nats/blank (unigram {result.unigram_loss:.3f}), {result.accuracy:.1%} guessed"
        return numbers, text

    def summary(self, result: BlanksEvaluation) -> dict[str, float]:
        return self.validation(result)[0] | {"unigram_accuracy": result.unigram_accuracy}

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        return {
            "validation loss, nats per blank": f"{summary['validation_loss']:.3f}",
            "  by frequency alone": f"{summary['unigram_loss']:.3f}",
            "blanks guessed": f"{summary['validation_accuracy']:.1%}",
            "  always the most frequent token": f"{summary['unigram_accuracy']:.1%}",
        }

    def levels(self, summary: dict[str, Any]) -> dict[str, float]:
        return {"unigram": summary["unigram_loss"]}

    def sample(self, model: Module, seed: Sequence[int]) -> str:
        """A window of the validation text, and what the model guesses at its blanks."""
        tokens, config = open_tokens(self.run.folder / "val.tokens"), self.run.config
        rng, T = np.random.default_rng(seed), config.max_seq_len
        start = T * rng.integers((len(tokens) - 1) // T)
        row = np.asarray(tokens[start : start + T], np.int64)
        seen, targets = mask_tokens(row[None], dataclasses.replace(self.masking, masked=1.0, random=0.0), rng)
        with evaluating(model):
            guesses = model.masked_lm_logits(model(seen)[0]).data.argmax(axis=1)  # (T,)
        shown = slice(config.sample_tokens)
        text = marked_text(self.run.tokenizer, row[shown], guesses[shown], targets[0, shown] != IGNORED)
        return f"[guess], or [guess|hidden token] where they differ:\n\n{text}"

    def command(self) -> str:
        folder = shlex.quote(str(self.run.folder))
        return f"tinygrad-llm fill-mask --from {folder} 'Return the [MASK] of items.'"


OBJECTIVES = {"gpt": NextToken, "llama": NextToken, "bert": Blanks, "seq2seq": Pairs}
Objective = NextToken | Blanks | Pairs


def objective_of(run: Run) -> Objective:
    return OBJECTIVES[run.config.model](run)


def marked_text(tokenizer, ids: np.ndarray, guesses: np.ndarray, is_blank: np.ndarray) -> str:
    """The text of ids (T,), with what was guessed at its blanks."""
    parts, begin = [], 0
    for place in [*np.flatnonzero(is_blank).tolist(), len(ids)]:
        if place > begin:
            parts.append(tokenizer.decode(ids[begin:place].tolist()))
        if place < len(ids):
            token, guess = (tokenizer.tokens[each[place]] for each in (ids, guesses))
            parts.append(f"[{guess}]" if guess == token else f"[{guess}|{token}]")
        begin = place + 1
    return " ".join(parts)
