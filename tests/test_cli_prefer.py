"""`tinygrad-llm finetune prefer`: from pairs to a model, its report, and what is said about mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call

from tinygrad_llm.hub import load_pretrained, save_pretrained
from tinygrad_llm.hub.adapters import load_adapter
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import merge
from tinygrad_llm.text import TEMPLATES, BPETokenizer, load_chat_template, save_chat_template
from tinygrad_llm.train.fine_tuned import open_model

FAST = ["--epochs", "8", "--batch-size", "8", "--n-samples", "4", "--evaluations-per-epoch", "0.5"]
COLOURS = ("red", "blue", "green", "grey", "black", "white", "brown", "pink")
TEMPLATE = TEMPLATES["chatml"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """64 questions; a polite answer is preferred to a rude one."""
    path, rng, rows = tmp_path_factory.mktemp("data") / "pairs.jsonl", np.random.default_rng(0), []
    for i in range(64):
        colour, number = COLOURS[i % 8], int(rng.integers(1000))
        answers = [f"please see the {colour} one.", f"go and find the {colour} one."]
        rows.append({"prompt": f"Where is number {number} of {i}?", "chosen": answers[0], "rejected": answers[1]})
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory, pairs):
    """An untrained GPT with a tokenizer and a chat template."""
    folder = tmp_path_factory.mktemp("base") / "model"
    special = ["<|endoftext|>", *TEMPLATE.special_tokens]
    tokenizer = BPETokenizer.train(pairs.read_text(encoding="utf-8"), 400, special_tokens=special)
    model = GPT(GPTConfig(tokenizer.vocab_size, 96, 2, 2, 32, 0.0), np.random.default_rng(0))
    save_pretrained(model, folder, tokenizer)
    save_chat_template(folder, TEMPLATE)
    return folder


def prefer(base, pairs, out, *options):
    return call("finetune", "prefer", "--from", base, "--data", pairs, "--out", out, *FAST, *options)


def report_of(out):
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def assert_report(report):
    test = report["test"]
    assert test["before"]["margin"] == pytest.approx(0, abs=1e-5)
    assert test["after"]["margin"] > 0.2
    assert test["after"]["loss"] < test["before"]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert set(test["after"]["kl"]) == {"chosen", "rejected", "drawn"}
    assert all(kl == pytest.approx(0, abs=1e-6) for kl in test["before"]["kl"].values())
    assert all(kl > 1e-4 for kl in test["after"]["kl"].values())
    before, after = test["accuracy"]
    assert after["value"] == 1.0 == test["reward_accuracy"]["value"]
    assert after["value"] >= before["value"]
    assert test["baselines"] == {"length": 1.0, "n-grams": 1.0}
    assert test["before"]["plain_loss"] != test["after"]["plain_loss"]
    assert len(report["margins"]) == report["history"][-1]["step"]
    assert len(report["samples"]) == 4


def test_a_whole_model_learns_to_prefer(base, pairs, tmp_path):
    out = tmp_path / "out"
    code, shown, error = prefer(base, pairs, out, "--learning-rate", "1e-3")
    assert (code, error) == (0, "")
    assert "pairs to train on" in shown
    assert "held the chosen answer" in shown
    report = report_of(out)
    assert_report(report)
    assert report["trained_parameters"] == report["parameters"]
    assert report["energy"]["assumption"] in shown
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(each in card for each in ('- "dpo"', "| held the better answer likelier |", "`pairs.jsonl`", "of CO₂"))
    assert (out / "margins.png").stat().st_size > 5000
    assert not (out / "adapter").exists()
    assert load_chat_template(out / "base") == TEMPLATE
    model, tokenizer = open_model(out)
    ids = tokenizer.encode("Where is it? please go")
    assert not np.array_equal(model([ids]).data, load_pretrained(base).model([ids]).data)


def test_adapters_are_saved_alone_and_merged(base, pairs, tmp_path):
    out = tmp_path / "out"
    code, _, error = prefer(base, pairs, out, "--lora-rank", "4", "--learning-rate", "5e-3")
    assert (code, error) == (0, "")
    report = report_of(out)
    assert_report(report)
    assert report["trained_parameters"] < 0.4 * report["parameters"]
    merged, tokenizer = open_model(out)
    ids = tokenizer.encode("Where is it? please go")
    again = load_pretrained(base).model
    load_adapter(again, out / "adapter")
    np.testing.assert_allclose(again([ids]).data, merged([ids]).data, atol=1e-5)
    np.testing.assert_allclose(merge(again)([ids]).data, merged([ids]).data, atol=1e-6)


def test_mistakes_are_told(base, pairs, tmp_path):
    bert = Path(__file__).parents[1] / "lessons" / "pretrained" / "bert"
    for options, sentence in (
        (["--from", base], "give the pairs by --data FILE"),
        (["--from", base, "--data", pairs, "--embedded", "preferences"], "give the pairs by --data FILE"),
        (["--from", base, "--data", pairs, "--beta", "0"], "beta must be above 0"),
        (["--from", base, "--data", pairs, "--lora-alpha", "4"], "--lora-alpha goes with a rank"),
        (["--from", base, "--data", pairs, "--n-samples", "0"], "--n-samples must be at least 1"),
        (["--from", bert, "--data", pairs], "holds a BERT, which writes no answers"),
        (["--from", base, "--data", tmp_path / "none.jsonl"], "there is no file"),
        (
            ["--from", base, "--data", pairs, "--lora-rang", "1"],
            "there is no option --lora-rang (did you mean '--lora-rank'?)",
        ),
        (["--from", base, "--embedded", "pairs"], "invalid choice: 'pairs'"),
        (["--data", pairs], "required: --from"),
    ):
        code, shown, error = call("finetune", "prefer", *options, "--out", tmp_path / "out")
        assert code == 2, options
        assert shown == "", options
        assert sentence in error, (options, error)
        assert not (tmp_path / "out").exists()


def test_help_names_its_options():
    code, shown, _ = call("finetune", "prefer", "--help")
    assert code == 0
    assert "--beta" in shown
    assert "--lora-rank" in shown
    assert "pairs.jsonl" in shown
