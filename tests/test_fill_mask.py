"""Guesses for blanks, with the small BERT of lessons/pretrained, which knows nothing."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm import functional as F
from tinygrad_llm.applications import fill_mask
from tinygrad_llm.hub import load_pretrained

BERT = load_pretrained(Path(__file__).parents[1] / "lessons" / "pretrained" / "bert")
TEXT = "Return the [MASK] of a [MASK]."


def test_guesses_are_the_models():
    ids = np.array([BERT.tokenizer.encode(TEXT)])
    p = F.softmax(BERT.model.masked_lm_logits(BERT.model(ids)))[0].data
    places = np.flatnonzero(ids[0] == BERT.tokenizer.mask_id)
    found = fill_mask(BERT.model, BERT.tokenizer, TEXT, k=3)
    assert len(found) == len(places) == 2
    for place, guesses in zip(places, found, strict=True):
        best = np.argsort(-p[place])[:3]
        assert [guess.token for guess in guesses] == [BERT.tokenizer.tokens[token] for token in best]
        np.testing.assert_allclose([guess.probability for guess in guesses], p[place][best], rtol=1e-5)


def test_texts_have_this_guess_and_the_best_elsewhere():
    first, second = fill_mask(BERT.model, BERT.tokenizer, TEXT, k=2)
    assert first[0].text == second[0].text
    assert len({guess.text for guess in (*first, *second)}) == 3
    assert all("[MASK]" not in guess.text for guess in (*first, *second))
    assert first[0].text.startswith("return the")


def test_what_cannot_be_filled():
    with pytest.raises(ValueError, match=r"no blank: write \[MASK\] where a word is to be guessed, not 'Return'"):
        fill_mask(BERT.model, BERT.tokenizer, "Return")
    with pytest.raises(ValueError, match="k must be at least 1 guess for each blank, not 0"):
        fill_mask(BERT.model, BERT.tokenizer, TEXT, k=0)
    with pytest.raises(ValueError, match="this model reads 64: shorten it"):
        fill_mask(BERT.model, BERT.tokenizer, "a " * 100 + "[MASK]")
