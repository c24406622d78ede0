"""Sentences per second of `SentenceEncoder`, against sentence-transformers with the same folder of weights; and one
fine-tuning step of a model of that size, against transformers.

    python benchmarks/bench_embed.py            # needs the extra `compare`

The weights are random, of the size of all-MiniLM-L6-v2 (6 layers, C 384): the time does not depend on what a model has
learned. The texts are docstrings of the standard library, first paragraphs as they are: 5 to 250 tokens. Both sides
tokenize, pad and pool. Before anything is timed, their vectors must agree.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.applications import SentenceEncoder
from tinygrad_llm.data import embedded_corpus
from tinygrad_llm.hub import Pooling, load_pretrained, save_pretrained
from tinygrad_llm.models import BERT, BERTConfig, TextClassifier
from tinygrad_llm.optim import AdamW
from tinygrad_llm.text import WordPieceTokenizer

SIZES = {"n_layers": 6, "n_heads": 12, "d_model": 384, "d_ff": 1536}  # of all-MiniLM-L6-v2
N_TEXTS, N_CLASSES, BATCH, T = 1000, 10, 16, 128
ROUNDS, CALLS = 3, 1


def rows(quick: bool = False) -> list[Row]:
    """About 3 minutes."""
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder, "model"))
        n_texts = 100 if quick else N_TEXTS
        compare_vectors(folder, 50)
        found = []
        with Side(__file__, "ours") as ours, Side(__file__, "peer") as peer:
            sides = [ours, peer]
            seconds = medians(sides, ["embed", folder, n_texts], *((1, 1) if quick else (ROUNDS, CALLS)))
            speeds = (n_texts / seconds["ours"], n_texts / seconds["peer"])
            what = f"{n_texts:,} docstrings, L6 C384, vocabulary {vocab_size(folder):,}"
            found.append(Row("embed", what, "sentence-transformers", *speeds, "texts/s", "higher", 1.0))
            seconds = medians(sides, ["finetune", folder, 0], *((1, 2) if quick else (ROUNDS, 5)))
            what = f"fine-tuning step, L6 C384, B{BATCH} T{T}"
            times = (1e3 * seconds["ours"], 1e3 * seconds["peer"])
            found.append(Row("embed", what, "transformers, PyTorch eager", *times, "ms", "lower", 1.0))
        return found


@cache
def texts() -> list[str]:
    """Of all docstrings, evenly."""
    found = [document.text.strip().split("\n\n")[0] for document in embedded_corpus("docstrings")]
    return found[:: len(found) // N_TEXTS][:N_TEXTS]


def write_folder(folder: Path) -> None:
    tokenizer = WordPieceTokenizer.train(texts(), 4000)
    config = BERTConfig(tokenizer.vocab_size, **SIZES, pooler=True, masked_lm=False)
    save_pretrained(BERT(config, np.random.default_rng(0)), folder, tokenizer, Pooling("mean", max_seq_len=256))


def vocab_size(folder: str) -> int:
    return load_pretrained(Path(folder, "model")).model.config.vocab_size


def make(side: str, case: list):
    what, folder, n_texts = case
    if what == "embed":
        encode = our_encoder(folder) if side == "ours" else their_encoder(folder)
        return lambda: encode(texts()[:n_texts])
    return our_step(folder) if side == "ours" else their_step(folder)


def our_encoder(folder: str):
    return SentenceEncoder.from_pretrained(Path(folder, "model")).encode


def their_encoder(folder: str):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(Path(folder, "model")), device="cpu").encode


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(5, 1000, (BATCH, T)), rng.integers(0, N_CLASSES, BATCH)


def our_step(folder: str):
    base = load_pretrained(Path(folder, "model")).model
    model = TextClassifier(base, N_CLASSES, rng=np.random.default_rng(0)).train()
    optimizer, (ids, labels) = AdamW(model.parameters(), lr=1e-5), batch()

    def step() -> None:
        optimizer.zero_grad()
        model.loss(ids, np.ones(ids.shape, bool), None, labels).backward()
        optimizer.step()

    return step


def their_step(folder: str):
    import torch
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(Path(folder, "model"), num_labels=N_CLASSES).train()
    optimizer, (ids, labels) = torch.optim.AdamW(model.parameters(), lr=1e-5), map(torch.tensor, batch())

    def step() -> None:
        optimizer.zero_grad()
        model(ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        optimizer.step()

    return step


def compare_vectors(folder: str, n_texts: int) -> None:
    """Raise AssertionError unless both make the same vectors."""
    ours, theirs = (encode(texts()[:n_texts]) for encode in (our_encoder(folder), their_encoder(folder)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    command_line(__doc__, rows, make)
