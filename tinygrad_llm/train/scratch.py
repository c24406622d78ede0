"""A small encoder that has read nothing yet, and its tokenizer: for tasks with enough examples to begin from nothing.

Words, positions and segments begin as vectors of about the same length, so that each can be told from the start:
words and segments by chance, positions as sines and cosines (Vaswani et al. 2017, section 3.5). Their slowest wave is
some 1,700 positions long, not 50,000 and more, so that most of them tell the places in a row apart.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..data.examples import Example, SpanExample
from ..models import BERT, BERTConfig
from ..text import WordPieceTokenizer

VOCAB_SIZE = 1000
SHAPE = {"n_layers": 4, "n_heads": 6, "d_model": 96, "d_ff": 192, "dropout": 0.0, "masked_lm": False}
INIT_STD = 0.05  # larger than a large model's 0.02: the narrower, the larger
EMBEDDING_STD = 0.7  # as sines have
SETTINGS = {  # of a FineTuneConfig: larger steps and more of them than a pretrained model needs
    "epochs": 12.0,
    "learning_rate": 4e-3,
    "muon_factor": 2.5,
    "layer_decay": 1.0,
    "warmup_ratio": 0.02,
    "evaluations_per_epoch": 0.5,
    "patience": 6,
}
SLOWEST = 300.0  # positions in which the slowest wave turns by about one radian


def small_bert(
    examples: Iterable[Example], max_seq_len: int = 256, n_segments: int = 3, seed: int = 0
) -> tuple[BERT, WordPieceTokenizer]:
    """A BERT with new weights, drawn from `seed`, and a tokenizer trained on the texts of `examples`.

    Raises ValueError where they have more different characters than the vocabulary has room for.
    """
    tokenizer = WordPieceTokenizer.train((text for example in examples for text in _texts(example)), VOCAB_SIZE)
    config = BERTConfig(tokenizer.vocab_size, max_seq_len, n_segments, init_std=INIT_STD, **SHAPE)
    model = BERT(config, np.random.default_rng(seed))
    for embedding in (model.token_embedding, model.segment_embedding):
        embedding.weight.data *= EMBEDDING_STD / INIT_STD
    model.position_embedding.weight.data[...] = sines(max_seq_len, config.d_model)
    return model, tokenizer


def _texts(example: Example) -> tuple[str, str]:
    if isinstance(example, SpanExample):
        return example.question, example.context
    return example.text, example.pair or ""


def sines(n_positions: int, d_model: int) -> np.ndarray:
    """(n_positions, d_model): in turn sine and cosine of the position times frequencies from 1 down to 1 / SLOWEST."""
    angles = np.arange(n_positions)[:, None] / SLOWEST ** (np.arange(0, d_model, 2) / d_model)  # (T, C/2)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(n_positions, d_model)
