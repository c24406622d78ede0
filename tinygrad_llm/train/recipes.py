"""Recipes: all settings of a pretraining run in one frozen dataclass, and the presets to start from.

Each field's text says what it does. It is also the help of the command-line option that is made from the field.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

GROUPS = ("text", "model", "training", "reports")
CHOICES = {
    "embedded_corpus": ("prose", "topics", "docstrings", "sources", "none"),
    "tokenizer": ("bpe", "char", "wordpiece"),
    "model": ("gpt", "llama", "bert", "seq2seq"),
    "optimizer": ("adamw", "muon"),
    "schedule": ("cosine", "linear", "wsd"),
}
# Settings of some models only; the others must leave them at their defaults.
OF_SOME_MODELS = {
    "n_kv_heads": ("llama",),
    "dropout": ("gpt", "bert", "seq2seq"),
    "bias": ("gpt",),
    "mask_share": ("bert",),
    "whole_words": ("bert",),
    "label_smoothing": ("seq2seq",),
    "pairs": ("seq2seq",),
    "source_column": ("seq2seq",),
    "target_column": ("seq2seq",),
    "direction": ("seq2seq",),
    "n_pairs": ("seq2seq",),
    "corpus": ("gpt", "llama", "bert"),
}
# Only WordPiece has a [MASK], and it cannot give a text back as it was.
TOKENIZERS_OF = {"gpt": ("bpe", "char"), "llama": ("bpe", "char"), "bert": ("wordpiece",), "seq2seq": ("char", "bpe")}
# What a model changes in the preset of another one, unless it is given. A BERT has its norms after the sums, and at the
# rate that suits a GPT it learns no more than how frequent tokens are.
CHANGES_BY_MODEL = {
    "bert": {"tokenizer": "wordpiece", "optimizer": "muon", "learning_rate": 1e-3, "min_learning_rate": 1e-4},
    "seq2seq": {"embedded_corpus": "none", "pairs": "numbers", "tokenizer": "char", "init_std": 0.05}
    | {"label_smoothing": 0.1, "optimizer": "muon"},
}
_TYPE_NAMES = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def _field(default: Any, group: str, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"group": group, "help": help})


text, architecture, training, reports = (partial(_field, group=group) for group in GROUPS)


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides what a run computes. Raises TypeError or ValueError for impossible values."""

    corpus: tuple[str, ...] = text((), help="your own text: plain files, .jsonl, .csv, or folders of them")
    encoding: str = text("utf-8", help="how the corpus files are encoded, for example latin-1 or gb18030")
    embedded_corpus: str = text("prose", help="without --corpus: this part of Python's own documentation and sources")
    max_characters: int = text(0, help="use only so much of the corpus, from its beginning; 0: all of it")
    validation_fraction: float = text(0.1, help="part of the text that is kept back to measure the model")
    tokenizer: str = text("bpe", help="bpe: byte-level byte-pair encoding; char: characters; wordpiece: bert's")
    vocab_size: int = text(2048, help="how many different tokens there are; char finds its own number")
    pairs: str = text("", help="seq2seq: numbers, dates, names, summaries, or a FILE of sources and targets")
    source_column: str = text("", help="seq2seq: column of the sources in the file, if it names its columns")
    target_column: str = text("", help="seq2seq: column of the targets")
    direction: str = text("en-zh", help="numbers, dates: of en, zh and digits, from which into which")
    n_pairs: int = text(20_000, help="numbers, dates: how many are drawn to train on")

    model: str = architecture(
        "gpt", help="gpt: GPT-2's architecture; llama: Llama's; bert: to fill blanks; seq2seq: to translate"
    )
    n_layers: int = architecture(4, help="Transformer blocks on top of each other; seq2seq: in both halves")
    n_heads: int = architecture(6, help="attention heads in each block; must divide d_model")
    n_kv_heads: int = architecture(0, help="llama: heads of keys and values; must divide n_heads; 0: as many")
    d_model: int = architecture(192, help="numbers per token between the blocks")
    max_seq_len: int = architecture(128, help="context: how many tokens the model sees at once")
    dropout: float = architecture(0.0, help="part of the values zeroed in training, against overfitting")
    bias: bool = architecture(False, help="biases in linear layers and norms, as in GPT-2")
    init_std: float = architecture(0.02, help="spread of the initial weights")
    mask_share: float = architecture(0.15, help="bert: part of the tokens that it has to guess")
    whole_words: bool = architecture(False, help="bert: hide all tokens of a word or none")

    steps: int = training(600, help="optimizer steps in all")
    label_smoothing: float = training(0.0, help="seq2seq: part of the probability that is meant for all tokens alike")
    batch_size: int = training(16, help="windows of text, or pairs, in a batch; mpiexec's ranks share them")
    accumulate: int = training(1, help="batches per step: their gradients are averaged")
    checkpoint_activations: bool = training(False, help="less memory, a third more time: compute activations twice")
    optimizer: str = training("adamw", help="muon: for the matrices in the blocks, and adamw for the rest")
    learning_rate: float = training(2e-3, help="AdamW's, at its highest, after the warm-up")
    min_learning_rate: float = training(2e-4, help="AdamW's, at the end of the schedule; Muon's falls as much")
    muon_learning_rate: float = training(0.02, help="Muon's, at its highest")
    muon_momentum: float = training(0.9, help="Muon: memory of the mean gradient")
    schedule: str = training("cosine", help="how the learning rate falls; wsd falls in the last fifth only")
    warmup_ratio: float = training(0.05, help="part of the steps in which the learning rate rises to its highest")
    beta1: float = training(0.9, help="AdamW: memory of the mean gradient")
    beta2: float = training(0.99, help="AdamW: memory of the squared gradient")
    weight_decay: float = training(0.1, help="pull towards 0, on matrices only")
    clip: float = training(1.0, help="limit of the gradient's norm; 0: none")
    seed: int = training(0, help="of the initial weights, the batches, dropout and samples")

    tensorboard: bool = reports(False, help="also write curves, histograms and pictures for TensorBoard")
    log_every: int = reports(10, help="steps from one line in log.jsonl to the next")
    evaluate_every: int = reports(250, help="steps between evaluations on the validation text; 0: at the end only")
    evaluation_tokens: int = reports(65536, help="of these evaluations: how much they read; the last one reads all")
    checkpoint_every: int = reports(250, help="steps between checkpoints; 0: at the end only")
    sample_every: int = reports(500, help="steps between samples of text; 0: at the end only")
    sample_tokens: int = reports(200, help="length of a sample")
    temperature: float = reports(0.8, help="of samples: below 1 safer, above 1 wilder, 0 always the likeliest token")
    core_watts: float = reports(10.0, help="of a busy core, for the energy where the processor does not count it")
    co2_per_kwh: float = reports(480.0, help="grams in your electricity; 480: the world's mean in 2023")
    license: str = reports("", help="of your own text, for the model card, such as cc-by-4.0")

    def __post_init__(self):
        types = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            self._check_type(field.name, types[field.name])
            self._check_choice(field.name)
        self._check_ranges()
        self._check_model()

    def _check_type(self, name: str, wanted: Any) -> None:
        value = getattr(self, name)
        if name == "corpus":
            object.__setattr__(self, name, tuple(value))  # JSON has lists only
            return
        if wanted is float and type(value) is int:
            object.__setattr__(self, name, float(value))
        elif type(value) is not wanted:
            raise TypeError(f"{name} must be {_TYPE_NAMES[wanted]}, not {value!r}")

    def _check_choice(self, name: str) -> None:
        value = getattr(self, name)
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(
                f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}{did_you_mean(value, CHOICES[name])}"
            )

    def _check_ranges(self) -> None:
        at_least_1 = ("vocab_size", "n_pairs", "n_layers", "n_heads", "d_model", "max_seq_len", "steps", "batch_size")
        for name in (*at_least_1, "accumulate", "log_every", "sample_tokens"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        at_least_0 = ("max_characters", "n_kv_heads", "weight_decay", "clip", "seed", "temperature")
        at_least_0 += ("core_watts", "co2_per_kwh")
        for name in (*at_least_0, "evaluate_every", "checkpoint_every", "sample_every", "min_learning_rate"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "a number of at least 0")
        for name in ("beta1", "beta2", "muon_momentum", "dropout", "label_smoothing"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("validation_fraction", "mask_share"):
            self._require(name, 0 < getattr(self, name) < 1, "between 0 and 1")
        self._require("evaluation_tokens", self.evaluation_tokens >= 2, "at least 2")
        for name in ("learning_rate", "muon_learning_rate", "init_std"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a number above 0")
        lowest = f"at most the learning rate {self.learning_rate:g}"
        self._require("min_learning_rate", self.min_learning_rate <= self.learning_rate, lowest)
        self._require("warmup_ratio", 0 <= self.warmup_ratio <= 1, "between 0 and 1")
        divides = f"a divisor of d_model = {self.d_model}"
        self._require("n_heads", self.d_model % self.n_heads == 0, divides)

    def _check_model(self) -> None:
        for name, models in OF_SOME_MODELS.items():
            if getattr(self, name) != getattr(type(self), name) and self.model not in models:
                of = " and ".join(", ".join(models).rsplit(", ", 1))
                raise ValueError(
                    f"{name} is a setting of {of}, not of {self.model}: leave it out, or choose --model {models[0]}"
                )
        tokenizers = TOKENIZERS_OF[self.model]
        why = ", the one with a [MASK]," if self.model == "bert" else ""
        self._require("tokenizer", self.tokenizer in tokenizers, f"{' or '.join(tokenizers)}{why} for {self.model}")
        if self.model == "seq2seq":
            self._require("pairs", bool(self.pairs), "numbers, dates, names, summaries or a file for seq2seq")
            self._require("embedded_corpus", self.embedded_corpus == "none", "none for seq2seq, which learns pairs")
            both = bool(self.source_column) == bool(self.target_column)
            self._require("target_column", both, "given if and only if source_column is")
        if self.model == "llama":
            divides = f"0 or a divisor of n_heads = {self.n_heads}"
            self._require("n_kv_heads", self.n_heads % (self.n_kv_heads or 1) == 0, divides)
            even = (
                f"such that d_model / n_heads is even, since a llama turns features in pairs; d_model is {self.d_model}"
            )
            self._require("n_heads", self.d_model // self.n_heads % 2 == 0, even)

    def _require(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {wanted}, not {getattr(self, name)!r}")

    def override(self, **changes: Any) -> PretrainConfig:
        """A copy with other values; another model makes its own changes first, CHANGES_BY_MODEL.

        Raises TypeError for an unknown field, and suggests the nearest.
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise TypeError(f"a pretraining run has no setting {name!r}{did_you_mean(name, names)}")
        if changes.get("model", self.model) != self.model:
            changes = CHANGES_BY_MODEL.get(changes["model"], {}) | changes
        return dataclasses.replace(self, **changes)


# Found by trial on the embedded corpus, the best for three minutes on two cores; see the README for what it reaches.
LAPTOP = PretrainConfig(
    n_heads=4, d_model=128, init_std=0.05, steps=4000, batch_size=8, optimizer="muon", learning_rate=0.02,
    min_learning_rate=0.0, schedule="linear", evaluate_every=500, checkpoint_every=500, sample_every=1000,
)  # fmt: skip

# Every step of the way in seconds, with the kernels as plain Python: NUMBA_DISABLE_JIT=1.
DEBUG = PretrainConfig(
    embedded_corpus="topics",
    max_characters=4000,
    tokenizer="char",
    n_layers=2,
    n_heads=2,
    d_model=16,
    max_seq_len=16,
    steps=10,
    batch_size=2,
    log_every=1,
    evaluate_every=5,
    evaluation_tokens=64,
    checkpoint_every=5,
    sample_every=0,
    sample_tokens=20,
)

# nanoGPT's setting for a CPU (its README and config/train_shakespeare_char.py), step for step.
NANOGPT_CPU = PretrainConfig(
    embedded_corpus="none",
    tokenizer="char",
    n_layers=4,
    n_heads=4,
    d_model=128,
    max_seq_len=64,
    steps=2000,
    batch_size=12,
    learning_rate=1e-3,
    min_learning_rate=1e-4,
    evaluate_every=250,
    evaluation_tokens=12 * 64 * 20,
)

# The same model, taught in 600 steps to a lower loss: benchmarks/bench_time_to_loss.py.
SHAKESPEARE_CPU = NANOGPT_CPU.override(
    init_std=0.05,
    steps=600,
    optimizer="muon",
    learning_rate=5e-3,
    min_learning_rate=0.0,
    schedule="linear",
    weight_decay=0.0,
    evaluate_every=100,
)

# Numbers in words, English to Chinese: an encoder-decoder learns the rule, and writes 99 % of unseen numbers right.
TRANSLATE_NUMBERS = PretrainConfig().override(
    model="seq2seq",
    n_layers=2,
    n_heads=4,
    d_model=128,
    steps=1500,
    batch_size=64,
)

PRESETS = {
    "laptop": (LAPTOP, "a small GPT on Python's own documentation, in minutes on two cores"),
    "debug": (DEBUG, "a tiny GPT in seconds, even with NUMBA_DISABLE_JIT=1, to step through"),
    "shakespeare-cpu": (SHAKESPEARE_CPU, "nanoGPT's CPU setting, trained by Muon; needs --corpus FILE"),
    "nanogpt-cpu": (NANOGPT_CPU, "nanoGPT's CPU setting and its 2,000 steps of AdamW; needs --corpus FILE"),
    "translate-numbers": (TRANSLATE_NUMBERS, "an encoder-decoder that translates numbers from English to Chinese"),
}


def preset(name: str) -> PretrainConfig:
    """The settings of that name. Raises ValueError for an unknown one, and suggests the nearest."""
    if name not in PRESETS:
        raise ValueError(
            f"there is no preset {name!r}{did_you_mean(name, PRESETS)}; the presets are {', '.join(PRESETS)}"
        )
    return PRESETS[name][0]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """ " (did you mean …?)" for a name that is nearly one of `names`, else nothing."""
    names = list(names)
    begun = [other for other in names if name and other.startswith(name)]
    near = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
