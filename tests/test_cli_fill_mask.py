"""`fill-mask`, on a tiny run and on a folder in Hugging Face's layout; and what a BERT's run cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import call, pretrain

from tinygrad_llm.applications import fill_mask
from tinygrad_llm.hub import load_pretrained
from tinygrad_llm.train import open_run

PRETRAINED = Path(__file__).parents[1] / "lessons" / "pretrained"
TEXT = "Line 3 says that [MASK] is the [MASK] of 3."


@pytest.fixture(scope="module")
def run(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("runs") / "bert"
    pretrain(folder, text, "--model", "bert", "--vocab-size", "100", "--dropout", "0.5")
    return folder


def test_guesses_of_a_run(run):
    code, out, err = call("fill-mask", TEXT, "--from", run, "--top-k", "3", "--json")
    assert code == 0, err
    opened = open_run(run)
    expected = fill_mask(opened.load_model()[0].eval(), opened.tokenizer, TEXT, k=3)
    assert json.loads(out) == [[guess._asdict() for guess in guesses] for guesses in expected]
    assert [len(guesses) for guesses in expected] == [3, 3]


def test_guesses_of_a_hugging_face_folder_in_a_table():
    code, out, err = call("fill-mask", "Return the [MASK].", "--from", PRETRAINED / "bert")
    assert code == 0, err
    bert = load_pretrained(PRETRAINED / "bert")
    (guesses,) = fill_mask(bert.model, bert.tokenizer, "Return the [MASK].")
    assert "blank 1 of 1" in out
    for guess in guesses:
        assert f"{guess.probability:.1%}" in out
        assert guess.text in out
    assert out.count("return the") == 5


def refused(*argv) -> str:
    code, out, err = call(*argv)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
    return err


def test_what_is_refused(run, text, tmp_path):
    source = ("--from", PRETRAINED / "bert")
    assert "the text has no blank: write [MASK]" in refused("fill-mask", "Return", *source)
    assert "k must be at least 1 guess for each blank, not 0" in refused("fill-mask", TEXT, *source, "--top-k", "0")
    assert "this model reads 16: shorten it" in refused("fill-mask", TEXT + " line" * 20, "--from", run)
    assert "holds a GPT, which sees only what stands before a blank" in refused(
        "fill-mask", TEXT, "--from", PRETRAINED / "gpt2"
    )
    pretrain(tmp_path / "llama", text, "--model", "llama", "--steps", "1")
    assert "holds a Llama, which sees only" in refused("fill-mask", TEXT, "--from", tmp_path / "llama")
    assert "give the folder of a run, or of a model" in refused("fill-mask", TEXT, "--from", tmp_path)
    assert "required: TEXT" in refused("fill-mask", *source)
    assert "required: --from" in refused("fill-mask", TEXT)


def test_a_bert_does_not_write(run):
    sentence = refused("generate", "--run", run, "--prompt", "Line")
    assert f"holds a BERT, which does not write, but fills blanks: tinygrad-llm fill-mask --from {run}" in sentence


def test_help_shows_examples():
    code, out, _ = call("fill-mask", "--help")
    assert (code, "examples:" in out, "[MASK]" in out) == (0, True, True)
