"""What transformers generates from the same weights, made by tests/golden/make_generate_golden.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.generate import (
    beam_search,
    generate,
    generate_naive,
    generate_with_log_probs,
    left_pad,
    next_token_probabilities,
)
from tinygrad_llm.models import GPT, GPTConfig

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "generate.json").read_text(encoding="utf-8"))
PAD = GOLDEN["pad_token_id"]


@pytest.fixture(scope="module")
def model() -> GPT:
    made = GPT(GPTConfig(**GOLDEN["config"], dropout=0.0))
    made.load_state_dict(dict(np.load(FOLDER / "generate.npz")))
    return made.eval()


def arguments(case: dict) -> tuple[np.ndarray, dict]:
    """The prompts of a case as a padded batch, and its settings under our names, which are theirs."""
    ids, attention_mask = left_pad(case["prompts"], PAD)
    settings = {key: value for key, value in case.items() if not key.startswith(("sequence", "log_probs", "prompts"))}
    return ids, {**settings, "attention_mask": attention_mask, "pad_token_id": PAD}


def identity(case: dict) -> str:
    words = [f"{len(case['prompts'])}-prompts", f"{len(case['stop_tokens'])}-stops"]
    names = ("repetition_penalty", "num_beams", "length_penalty", "early_stopping")
    return "-".join(words + [f"{name}-{case[name]}" for name in names if name in case])


@pytest.mark.parametrize("case", GOLDEN["greedy"], ids=identity)
def test_greedy_texts_and_their_log_probabilities(model, case):
    ids, settings = arguments(case)
    found = generate_with_log_probs(model, ids, temperature=0, **settings)
    assert found.sequences.tolist() == case["sequences"]
    new = found.sequences[:, ids.shape[1] :]
    ended = np.cumsum(np.isin(new, case["stop_tokens"]), axis=1) - np.isin(new, case["stop_tokens"]) > 0
    np.testing.assert_allclose(found.log_probs, np.where(ended, 0, case["log_probs"]), atol=2e-5)
    np.testing.assert_allclose(found.sequence_log_probs, found.log_probs.sum(axis=1))
    for function in (generate, generate_naive):
        assert function(model, ids, temperature=0, **settings).tolist() == case["sequences"]


@pytest.mark.parametrize("case", GOLDEN["beams"], ids=identity)
def test_beams_and_their_scores(model, case):
    ids, settings = arguments(case)
    found = beam_search(model, ids, **settings)
    assert found.sequences.tolist() == case["sequences"]
    np.testing.assert_allclose(found.sequences_scores, case["sequences_scores"], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("case", GOLDEN["sampling"], ids=lambda case: "-".join(case["settings"]))
def test_probabilities_before_the_draw(case):
    logits = np.array(case["logits"], np.float32)
    found = next_token_probabilities(logits, **case["settings"])
    np.testing.assert_allclose(found, case["probabilities"], atol=1e-6)
    assert 0 < (found == 0).mean() or "temperature" in case["settings"]


def test_the_cases_are_not_all_alike():
    """Settings change the texts, and texts end at different places."""
    greedy, beams = ([json.dumps(case["sequences"]) for case in GOLDEN[kind]] for kind in ("greedy", "beams"))
    assert len(set(greedy)) >= 10
    assert len(set(beams)) >= 15
