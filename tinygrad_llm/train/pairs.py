"""From a name or files to pairs in a run's folder: what an encoder-decoder is trained on and measured by.

train.jsonl       to train on
val.jsonl         to measure by while it trains
test.jsonl        to measure by at the end: neither seen nor used for any choice
beyond.jsonl      of numbers and dates only: from outside the range of all others

`numbers` are 0 … 999,999, beyond them up to 99,999,999; `dates` 1900 … 2099, beyond them up to 2199.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..data import (
    ExampleSplit,
    Pair,
    TranslationSplit,
    date_split,
    docstring_names,
    module_of_pair,
    number_split,
    read_pairs,
    source_summaries,
    split_pairs,
)
from ..data.pair_batches import cut_source, framed_text, pair_fits
from ..text import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer
from .recipes import PretrainConfig, did_you_mean

MADE = {  # to measure: drawn from the range, with what is beyond it
    "numbers": partial(number_split, 0, 999_999, 99_999_999),
    "dates": partial(date_split, 1900, 2099, 2199),
}
FOUND = {"names": docstring_names, "summaries": source_summaries}  # in the running Python
N_HELD_OUT = 500  # of numbers and dates, in each part but train
PARTS = ("train", "validation", "test", "beyond")
FILES = dict(zip(PARTS, ("train.jsonl", "val.jsonl", "test.jsonl", "beyond.jsonl"), strict=True))


@dataclass(frozen=True)
class PairCorpus:
    """The parts of the pairs, and in words where they come from."""

    parts: ExampleSplit | TranslationSplit
    cleaning: str
    how_split: str
    cut_sources: bool = False  # a summary of the beginning is one too; half a translation is none

    def of(self, part: str) -> list[Pair]:
        return getattr(self.parts, part, [])


def read_pair_corpus(config: PretrainConfig) -> PairCorpus:
    """The pairs that `config.pairs` names: made, found in the running Python, or read from a file.

    Raises FileNotFoundError for a missing file, ValueError for one that holds no pairs, or too few for three parts.
    """
    if config.pairs in MADE:
        parts = MADE[config.pairs](
            n_train=config.n_pairs, n_held_out=N_HELD_OUT, direction=config.direction, seed=config.seed
        )
        return PairCorpus(parts, f"{config.pairs} {config.direction}", f"by value: {_counts(parts)}")
    if config.pairs in FOUND:
        pairs, group, cleaning = FOUND[config.pairs](), module_of_pair, f"{config.pairs} from the running Python"
    else:
        pairs, cleaning = _read_file(config)
        group = None
    held_out = config.validation_fraction
    if held_out >= 0.5:
        raise ValueError(f"validation_fraction must be below 0.5, since the test has as much, not {held_out}")
    parts = split_pairs(pairs, (1 - 2 * held_out, held_out, held_out), config.seed, group)
    how_split = f"{'by text' if group is None else 'by module'}: {_counts(parts)}"
    return PairCorpus(parts, cleaning, how_split, cut_sources=config.pairs in FOUND)


def _read_file(config: PretrainConfig) -> tuple[list[Pair], str]:
    if not Path(config.pairs).suffix:
        names = [*MADE, *FOUND]
        raise ValueError(
            f"pairs must be one of {', '.join(names)}, or a file that ends in .tsv, .csv or .jsonl, not "
            f"{config.pairs!r}{did_you_mean(config.pairs, names)}"
        )
    columns = (config.source_column or None, config.target_column or None)
    table = read_pairs(config.pairs, *columns, encoding=config.encoding)
    return table.examples, str(table)


def _counts(parts: ExampleSplit | TranslationSplit) -> str:
    return ", ".join(f"{len(getattr(parts, part)):,} {part}" for part in PARTS if getattr(parts, part, []))


def train_pair_tokenizer(config: PretrainConfig, corpus: PairCorpus) -> Tokenizer:
    """One for both texts: all characters of all parts, or pieces learned from the training part by BPE."""
    if config.tokenizer == "char":
        return CharTokenizer.train(itertools.chain(["\n"], *(_texts(corpus.of(part)) for part in PARTS)))
    return BPETokenizer.train(_texts(corpus.of("train")), config.vocab_size, special_tokens=[END_OF_TEXT])


def _texts(pairs: Sequence[Pair]) -> list[str]:
    return [text for pair in pairs for text in (pair.source, pair.target)]


def write_pair_files(folder: Path, corpus: PairCorpus, tokenizer: Tokenizer, max_seq_len: int) -> str:
    """Write the pairs that fit the model, and say in words how many do. Raises ValueError where a part has none."""
    left_out = n_cut = 0
    for part in PARTS:
        pairs = corpus.of(part)
        if corpus.cut_sources:
            whole, pairs = pairs, [cut_source(tokenizer, pair, max_seq_len) for pair in pairs]
            n_cut += sum(old is not new for old, new in zip(whole, pairs, strict=True))
        fitting = [pair for pair in pairs if pair_fits(tokenizer, pair, max_seq_len)]
        left_out += len(pairs) - len(fitting)
        if not fitting and part != "beyond":
            raise ValueError(
                f"none of the {len(pairs):,} pairs of the {part} part fits into {max_seq_len} tokens: raise "
                "--max-seq-len, or give more pairs"
            )
        if fitting:
            rows = (
                {"source": framed_text(tokenizer, pair.source), "target": framed_text(tokenizer, pair.target)}
                for pair in fitting
            )
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / FILES[part]).write_text("".join(lines), encoding="utf-8")
    said = [f"{n_cut:,} sources cut to {max_seq_len} tokens"] if n_cut else []
    said += [f"{left_out:,} pairs left out, which are longer than {max_seq_len} tokens"] if left_out else []
    return ", ".join(said) or "all pairs fit"


def read_pair_file(folder: Path, part: str) -> list[Pair]:
    """What `write_pair_files` wrote; nothing where there is no such part. Raises ValueError where it is damaged."""
    path = folder / FILES[part]
    return read_pairs(path, strict=True).examples if path.exists() or part != "beyond" else []
