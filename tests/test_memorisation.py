"""Extraction, canaries, calibration of tokens: on models that know a text by heart, and on ones that know nothing."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.data.masking import Masking
from tinygrad_llm.evaluate.canaries import (
    Canary,
    canaries_of,
    exposures,
    make_canaries,
    plant_canaries,
    record_of,
)
from tinygrad_llm.evaluate.memorisation import continuation_places, extraction, wilson
from tinygrad_llm.evaluate.paired_sentences import log_likelihoods
from tinygrad_llm.evaluate.token_calibration import token_calibration
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig
from tinygrad_llm.text import CharTokenizer

V = 40


class ByHeart:
    """Knows a text: after two of its tokens in a row it is sure of the next. Anything else it goes on with token 0."""

    training = False

    def __init__(self, text, vocab_size=V, sureness=20.0):
        self.config = SimpleNamespace(vocab_size=vocab_size, max_seq_len=64)
        self.next = {tuple(text[i : i + 2]): text[i + 2] for i in range(len(text) - 2)}
        self.sureness = sureness

    def new_cache(self, batch_size):
        return SimpleNamespace(seen=np.zeros((batch_size, 0), np.int64), layers=[SimpleNamespace(length=0)])

    def __call__(self, ids):
        ids = np.asarray(ids)
        logits = np.zeros((*ids.shape, self.config.vocab_size))
        for i, row in enumerate(ids.tolist()):
            for t in range(len(row)):
                logits[i, t, self.next.get(tuple(row[t - 1 : t + 1]) if t else (), 0)] = self.sureness
        return Tensor._from_array(logits)


def gpt(vocab_size=V, max_seq_len=64, seed=0):
    return GPT(GPTConfig(vocab_size, max_seq_len, 1, 2, 8, init_std=0.5), np.random.default_rng(seed)).eval()


@pytest.fixture
def by_heart(monkeypatch):
    """A text, and a model that gives it back; `generate` asks it for one token after the other."""
    text = np.random.default_rng(0).permutation(V * V)[:600] % V  # few pairs of neighbours come twice
    model = ByHeart(text.tolist())

    def generate(model, ids, n, temperature):
        assert temperature == 0
        for _ in range(n):
            ids = np.concatenate([ids, model(ids[:, -2:]).data[:, -1].argmax(axis=1)[:, None]], axis=1)
        return ids

    monkeypatch.setattr("tinygrad_llm.evaluate.memorisation.generate", generate)
    return text, model


def test_what_is_known_by_heart_is_extracted_and_other_text_is_not(by_heart):
    text, model = by_heart
    rng = np.random.default_rng(1)
    known = extraction(model, text, [2, 8], 4, 50, rng)
    other = extraction(model, rng.integers(0, V, 600), [2, 8], 4, 50, rng)
    assert [each.prompt_len for each in known] == [2, 8]
    assert all(each.exact.value > 0.3 and each.matched.value > 1.5 and each.exact.n == 50 for each in known)
    assert all(each.exact.value == 0 and each.matched.value < 0.5 for each in other)
    assert known[0].exact.low > other[0].exact.high


def test_the_share_is_that_of_whole_continuations(monkeypatch):
    """The model is right for as many tokens as the first token of the text says."""
    tokens = np.tile([3, 1, 1, 1, 1], 40)
    monkeypatch.setattr(
        "tinygrad_llm.evaluate.memorisation.generate",
        lambda model, ids, n, temperature: np.concatenate([ids, np.ones((len(ids), n), np.int64)], axis=1),
    )
    found = extraction(gpt(), tokens, [5], 4, 150, np.random.default_rng(0))[0]
    # of the five places to begin at, one is followed by 1 1 1 1; the others have their 3 after 3, 2, 1 and 0 tokens
    assert found.exact.value == pytest.approx(0.2, abs=0.03)
    assert found.matched.value == pytest.approx((4 + 3 + 2 + 1 + 0) / 5, abs=0.15)


def test_a_real_model_is_asked_greedily():
    tokens = np.random.default_rng(0).integers(0, V, 200)
    first, again = (extraction(gpt(), tokens, [4, 16], 8, 10, np.random.default_rng(5)) for _ in range(2))
    assert [each.matched.value for each in first] == [each.matched.value for each in again]


def test_places_stay_in_one_document():
    tokens = np.where(np.arange(500) % 25 == 0, 0, 7)
    places = continuation_places(tokens, 10, 5, 100, np.random.default_rng(0), eos_id=0)
    assert len(places) == len(set(places)) == 100
    assert all(0 not in tokens[place - 10 : place + 5] for place in places)
    with pytest.raises(ValueError, match="no place with 20 tokens before"):
        continuation_places(tokens, 20, 5, 10, np.random.default_rng(0), eos_id=0)
    with pytest.raises(ValueError, match="no place"):
        continuation_places(tokens[:10], 20, 5, 10, np.random.default_rng(0))


def test_wilson_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for p in (0.02, 0.3):
        found = [wilson(int(rng.binomial(100, p)), 100) for _ in range(1000)]
        assert 0.92 < np.mean([each.low <= p <= each.high for each in found]) < 0.985
    assert wilson(0, 50).low == 0
    assert wilson(50, 50).high == pytest.approx(1)
    with pytest.raises(ValueError, match="share of nothing"):
        wilson(0, 0)


TEXT = "".join(f"Paragraph {i} is about number {i}.\n\n" for i in range(100))


def test_canaries_stand_in_the_text_as_often_as_their_record_says():
    canaries = make_canaries(np.random.default_rng(0), (0, 1, 5), n_each=3)
    planted = plant_canaries(TEXT, canaries, np.random.default_rng(1))
    for canary in canaries:
        assert planted.count(canary.text) == canary.n_insertions
        assert planted.rfind(canary.text) < 0.85 * len(planted)
    rest = planted
    for canary in canaries:
        rest = rest.replace(f"\n\n{canary.text}", "")
    assert rest == TEXT
    assert Counter(canary.n_insertions for canary in canaries) == {0: 3, 1: 3, 5: 3}
    assert len({canary.station for canary in canaries}) == 9
    assert canaries_of(record_of(canaries)) == canaries


def test_candidates_are_other_secrets_in_the_same_sentence():
    canary = Canary("ABC", "12345678", 1)
    assert canary.text == "The access code of station ABC is 12345678."
    candidates = canary.candidates(200, np.random.default_rng(0))
    assert len(set(candidates)) == 200
    assert canary.text not in candidates
    assert all(text.startswith("The access code of station ABC is ") for text in candidates)
    assert len(Canary("A", "1234", 0).candidates(3000, np.random.default_rng(0))) == 3000


def letters_gpt(seed=0):
    tokenizer = CharTokenizer.train("The access code of station is.\nABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    return gpt(tokenizer.vocab_size, 64, seed), tokenizer


def test_exposure_is_the_rank_by_brute_force():
    model, tokenizer = letters_gpt()
    canary = Canary("ABC", "1234", 1)
    found = exposures(model, tokenizer, [canary], np.random.default_rng(7), n_candidates=64)[0]
    candidates = canary.candidates(63, np.random.default_rng(7))
    scores = log_likelihoods(model, tokenizer, [f"\n\n{text}" for text in candidates])
    mine = log_likelihoods(model, tokenizer, [f"\n\n{canary.text}"])[0]
    rank = 1 + sum(score >= mine for score in scores)
    assert found.rank == rank
    assert found.exposure == math.log2(64) - math.log2(rank)
    share = np.mean(scores.mean() + scores.std() * np.random.default_rng(0).standard_normal(200_000) > mine)
    assert found.fitted == pytest.approx(-math.log2(share), abs=0.1)


def test_exposure_of_what_was_never_seen_is_that_of_chance():
    """rank / |R| is uniform, so the exposure is 1.44 bits in the mean."""
    found = []
    for seed in range(3):
        canaries = make_canaries(np.random.default_rng(seed), (0,), n_each=50)
        found += exposures(*letters_gpt(seed), canaries, np.random.default_rng(seed), n_candidates=16)
    ranks = np.bincount([each.rank for each in found], minlength=17)[1:]
    assert ((ranks - 150 / 16) ** 2 / (150 / 16)).sum() < 30.6  # χ² of 15 degrees of freedom, 1 %
    expected = np.mean(4 - np.log2(np.arange(1, 17)))
    assert np.mean([each.exposure for each in found]) == pytest.approx(expected, abs=0.3)


def test_a_canary_known_by_heart_has_the_highest_exposure():
    _, tokenizer = letters_gpt()
    canaries = [Canary("ABC", "12345678", 64), Canary("XYZ", "90817263", 0)]
    text = tokenizer.encode(f"\n\n{canaries[0].text}")
    model = ByHeart([], tokenizer.vocab_size)
    model.next = {tuple(text[max(i - 1, 0) : i + 1]): text[i + 1] for i in range(len(text) - 1)}
    known, unknown = exposures(model, tokenizer, canaries, np.random.default_rng(0), n_candidates=128)
    assert (known.rank, known.exposure) == (1, 7.0)
    assert known.fitted > 7
    assert unknown.exposure < known.exposure
    assert known.fitted <= 8 * math.log2(10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: make_canaries(rng, (-1,)), "insertions of at least 0"),
        (lambda rng: make_canaries(rng, n_digits=3), "n_digits of at least 4"),
        (lambda rng: plant_canaries("a\n\nb", make_canaries(rng), rng), "10 are needed"),
        (lambda rng: plant_canaries(TEXT, make_canaries(rng), rng, last=0), "share above 0"),
        (lambda rng: exposures(*letters_gpt(), make_canaries(rng), rng, 2), "at least 3"),
        (lambda rng: canaries_of({"canaries": [{"station": "A"}]}), "damaged"),
        (lambda rng: canaries_of({"canaries": []}), "damaged"),
        (lambda rng: canaries_of({"canaries": [{"station": "A", "digits": "x", "n_insertions": 1}]}), "needs digits"),
        (lambda rng: extraction(gpt(), np.zeros(99, int), [60], 10, 5, rng), "more than the model's context, 64"),
        (lambda rng: extraction(gpt(), np.zeros(99, int), [0], 10, 5, rng), "must be at least 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


class Weather:
    """At each place the token 1 has probability p; whether it comes, the text decides."""

    training = False

    def __init__(self, p):
        self.p = p

    def __call__(self, ids):
        logits = np.log([1 - self.p, self.p])
        return Tensor._from_array(np.broadcast_to(logits, (*np.shape(ids), 2)).copy())


@pytest.mark.parametrize(("truth", "claimed"), [(0.8, 0.8), (0.6, 0.9)])
def test_calibration_error_is_the_gap_between_claim_and_truth(truth, claimed):
    tokens = (np.random.default_rng(0).random(6001) < truth).astype(np.int64)
    found = token_calibration(Weather(claimed), tokens, 8, 50, np.random.default_rng(1), max_tokens=6000)
    gap = abs(claimed - tokens[1:].mean())
    assert found.n_tokens == 6000
    assert found.error.value == pytest.approx(gap, abs=1e-6)
    assert found.error.low - 0.01 <= abs(claimed - truth) <= found.error.high + 0.01
    assert found.confidence == pytest.approx(claimed)
    assert found.accuracy == pytest.approx(tokens[1:].mean())
    assert found.bins.n_examples.sum() == 6000


def test_the_interval_draws_windows_not_tokens():
    """Windows that are right all over or wrong all over: far less is known than of as many tokens on their own."""
    whole = np.repeat(np.random.default_rng(0).random(60) < 0.7, 50).astype(np.int64)
    mixed = np.random.default_rng(1).permutation(whole)
    widths = []
    for tokens in (whole, mixed):
        found = token_calibration(Weather(0.7), np.append(0, tokens), 8, 50, np.random.default_rng(1))
        widths.append(found.error.high - found.error.low)
    assert widths[0] > 3 * widths[1]


def test_calibration_of_a_bert_is_that_of_its_blanks():
    model = BERT(BERTConfig(V, 16, 2, 1, 2, 8, 16), np.random.default_rng(0)).eval()
    tokens, rng = np.random.default_rng(0).integers(5, V, 400), np.random.default_rng(0)
    found = token_calibration(model, tokens, 4, 16, rng, Masking(4, V, frozenset(range(5))))
    assert found.n_tokens == 24 * 2  # of each window of 16 two are hidden
    with pytest.raises(ValueError, match="needs masking"):
        token_calibration(model, tokens, 4, 16, rng)
    with pytest.raises(ValueError, match="two windows of 16"):
        token_calibration(gpt(), tokens[:20], 4, 16, rng)
