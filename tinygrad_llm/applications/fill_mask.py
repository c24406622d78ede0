"""`fill_mask`: what a BERT reads into the blanks of a text.

for guess in fill_mask(model, tokenizer, "Return the [MASK] of items in a list.")[0]:
    print(f"{guess.probability:.2f} {guess.text}")
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import no_grad
from ..models import BERT
from ..text import WordPieceTokenizer


class Guess(NamedTuple):
    """A token for one blank."""

    probability: float
    token: str
    text: str  # the whole text, with this guess in its blank and the best ones in the others


def fill_mask(model: BERT, tokenizer: WordPieceTokenizer, text: str, k: int = 5) -> list[list[Guess]]:
    """For each [MASK] of the text, in order, its k likeliest tokens. Blanks are guessed independently of each other.

    Raises ValueError where the text has no [MASK], where it is longer than the model reads, for k below 1, and where
    the tokenizer knows no [MASK]. The model must be in evaluation mode, or dropout makes the guesses random.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1 guess for each blank, not {k}")
    if getattr(tokenizer, "mask_id", None) is None:
        raise ValueError("the tokenizer has no [MASK], so no text can have a blank: give the tokenizer of a BERT")
    ids = np.array(tokenizer.encode(text))
    blanks = np.flatnonzero(ids == tokenizer.mask_id)
    if len(blanks) == 0:
        raise ValueError(f"the text has no blank: write [MASK] where a word is to be guessed, not {text!r}")
    if len(ids) > model.config.max_seq_len:
        raise ValueError(f"the text has {len(ids)} tokens, but this model reads {model.config.max_seq_len}: shorten it")
    with no_grad():
        logits = model.masked_lm_logits(model(ids[None])[0][blanks])  # (n blanks, V)
        probabilities = F.softmax(logits).data
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    guesses = []
    for i, (p, candidates) in enumerate(zip(probabilities, order, strict=True)):
        chosen = order[:, 0].copy()
        guesses.append([])
        for token in candidates:
            chosen[i] = token
            filled = ids.copy()
            filled[blanks] = chosen
            guesses[-1].append(Guess(float(p[token]), tokenizer.tokens[token], tokenizer.decode(filled[1:-1])))
    return guesses
