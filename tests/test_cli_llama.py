"""The command line with `--model llama`: one tiny run, and all that can be done with it; and runs from before."""

from __future__ import annotations

import json

import pytest
from cli_runs import assert_resume_equals_uninterrupted, call, pretrain, read_log

from tinygrad_llm.generate import generate_naive
from tinygrad_llm.models import GPT, Llama
from tinygrad_llm.train import open_run

LLAMA = ("--model", "llama", "--n-kv-heads", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("runs") / "llama"
    pretrain(folder, text, *LLAMA)
    return folder


def test_the_run_is_a_llama(run):
    settings = json.loads((run / "config.json").read_text())["config"]
    assert (settings["model"], settings["n_kv_heads"]) == ("llama", 1)
    model, checkpoint = open_run(run).load_model("last")
    assert type(model) is Llama
    assert (model.config.n_heads, model.config.n_kv_heads, model.config.d_ff) == (2, 1, 64)
    assert (checkpoint.architecture, checkpoint.step) == ("Llama", 6)
    losses = [line["validation_loss"] for line in read_log(run) if "validation_loss" in line]
    assert losses[1] < losses[0]


def test_evaluate_and_info(run):
    summary = json.loads((run / "summary.json").read_text())
    code, out, err = call("evaluate", "--run", run, "--json")
    assert code == 0, err
    assert json.loads(out)["bits_per_byte"] == pytest.approx(summary["val_bits_per_byte"])
    code, out, err = call("info", run)
    assert code == 0, err
    for expected in ("Llama at step 6", "n_kv_heads", "blocks.1.attention.key.weight", "(8, 16)", "val_bits_per_byte"):
        assert expected in out


def test_generation_with_the_cache_is_the_naive_one(run):
    """Over the end of the context too, where the cache starts afresh."""
    opened = open_run(run)
    model, _ = opened.load_model()
    prompt = opened.tokenizer.encode("Line 7")
    ids = generate_naive(model, prompt, 30, temperature=0.0)
    expected = opened.tokenizer.decode(ids)
    for options in (["--temperature", "0"], ["--beams", "1"]):
        code, out, err = call("generate", "--run", run, "--prompt", "Line 7", "--max-new-tokens", "30", *options)
        assert code == 0, err
        assert out == expected + "\n"


@pytest.mark.parametrize("options", [[], ["--optimizer", "muon", "--accumulate", "2"], ["--checkpoint-activations"]])
def test_resume_equals_uninterrupted(tmp_path, text, options):
    """At one learning rate, since the schedule would be that of three steps."""
    options = [*LLAMA, *options, "--warmup-ratio", "0", "--min-learning-rate", "2e-3"]
    assert_resume_equals_uninterrupted(tmp_path, text, *options)


def test_a_run_keeps_its_model(run, text, tmp_path):
    code, _, err = call("pretrain", "--resume", run, "--model", "gpt")
    assert (code, "--model cannot be given with --resume, since a run keeps its settings" in err) == (2, True)


def without(names: tuple[str, ...], path) -> None:
    facts = json.loads(path.read_text())
    for name in names:
        del facts["config"][name]
    path.write_text(json.dumps(facts))


def test_a_run_from_before_there_were_other_models_is_a_gpt(tmp_path, text):
    folder = tmp_path / "run"
    pretrain(folder, text)
    without(("model", "n_kv_heads"), folder / "config.json")
    opened = open_run(folder)
    assert opened.config.model == "gpt"
    assert type(opened.load_model()[0]) is GPT
    code, _, err = call("pretrain", "--resume", folder, "--steps", "7")
    assert code == 0, err
    assert json.loads((folder / "config.json").read_text())["config"]["model"] == "gpt"


def test_settings_that_call_a_llama_a_gpt(tmp_path, text):
    folder = tmp_path / "run"
    pretrain(folder, text, "--model", "llama", "--steps", "1")
    without(("model",), folder / "config.json")
    code, _, err = call("evaluate", "--run", folder)
    assert (code, "holds a Llama, which is another model than a GPT" in err) == (2, True)
