"""`tinygrad-llm pretrain` on real, tiny runs: the folder it leaves, resuming, and Ctrl-C."""

import json
import lzma
import os
import signal
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from cli_runs import TINY, call, pretrain, read_log
from matplotlib.image import imread

from tinygrad_llm.data import open_tokens, read_token_header
from tinygrad_llm.train import evaluate, load_checkpoint, open_run

COMMAND = [sys.executable, "-m", "tinygrad_llm.cli"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    """The folder of a finished run and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "my run"
    return folder, pretrain(folder, text, "--dropout", "0.1", "--accumulate", "2")


def arrays(folder, name="last"):
    checkpoint = load_checkpoint(folder / f"{name}.safetensors")
    return checkpoint.weights | checkpoint.optimizer["arrays"]


def assert_same_run(first, second):
    """Bit for bit the same weights, optimizer state and logged losses."""
    one, two = arrays(first), arrays(second)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    a, b = load_checkpoint(first / "last.safetensors"), load_checkpoint(second / "last.safetensors")
    assert (a.step, a.generators, a.batches) == (b.step, b.generators, b.batches)
    assert a.progress["tokens"] == b.progress["tokens"]
    assert a.progress["best_loss"] == b.progress["best_loss"]
    drop = ("seconds",)
    assert [{k: v for k, v in line.items() if k not in drop} for line in read_log(first)] == [
        {k: v for k, v in line.items() if k not in drop} for line in read_log(second)
    ]


def test_the_folder_holds_the_whole_run(finished):
    folder, _ = finished
    assert sorted(os.listdir(folder)) == [
        "README.md",
        "best.safetensors",
        "config.json",
        "corpus.json",
        "last.safetensors",
        "log.jsonl",
        "loss.png",
        "previous.safetensors",
        "sample.txt",
        "summary.json",
        "tokenizer.json",
        "train.tokens",
        "val.tokens",
    ]
    assert os.listdir(folder.parent) == [folder.name]
    assert imread(folder / "loss.png").std() > 0.05
    assert [line["step"] for line in read_log(folder)] == [2, 3, 4, 6]
    assert [line["step"] for line in read_log(folder) if "validation_loss" in line] == [3, 6]
    assert load_checkpoint(folder / "last.safetensors").step == 6


def test_the_summary_is_true(finished):
    folder, out = finished
    summary = json.loads((folder / "summary.json").read_text())
    run = open_run(folder)
    model, checkpoint = run.load_model("best")
    header = read_token_header(folder / "val.tokens")
    tokens = np.array(open_tokens(folder / "val.tokens"))
    result = evaluate(model, tokens, header.text_bytes, 2, 16)
    assert summary["val_bits_per_byte"] == pytest.approx(result.bits_per_byte)
    assert checkpoint.step == summary["best_step"] == 6
    assert summary["parameters"] == model.num_parameters()
    assert summary["steps"] == 6
    assert summary["tokens"] == 6 * 2 * 2 * 16, "steps · accumulated batches · batch size · context"
    assert summary["seconds"] > 0
    assert summary["tokens_per_second"] > 0
    assert set(summary["versions"]) == {"tinygrad_llm", "python", "numpy", "numba"}
    text = run.tokenizer.decode(tokens).encode()
    assert summary["zlib_bits_per_byte"] == pytest.approx(8 * len(zlib.compress(text, 9)) / len(text))
    preset = 9 | lzma.PRESET_EXTREME
    assert summary["lzma_bits_per_byte"] == pytest.approx(8 * len(lzma.compress(text, preset=preset)) / len(text))
    assert f"{summary['val_bits_per_byte']:.3f}" in out
    sample = (folder / "sample.txt").read_text()
    assert len(sample) > 10
    assert all(line in out for line in sample.split("\n"))


def test_the_output_says_what_happened_and_how_to_go_on(finished):
    folder, out = finished
    assert "kept 1 of 1 documents" in out
    assert "split by position" in out
    assert "step 3: validation" in out
    assert "step 6/6  loss " in out
    assert "\x1b" not in out, "no colours where the output is no terminal"
    assert f"tinygrad-llm generate --run '{folder}' --prompt" in out
    assert f"tinygrad-llm pretrain --resume '{folder}' --steps 12" in out


def test_the_same_seed_gives_the_same_run(finished, tmp_path, text):
    pretrain(tmp_path / "again", text, "--dropout", "0.1", "--accumulate", "2")
    assert_same_run(finished[0], tmp_path / "again")
    pretrain(tmp_path / "other", text, "--dropout", "0.1", "--accumulate", "2", "--seed", "1")
    assert read_log(tmp_path / "other")[0]["loss"] != read_log(finished[0])[0]["loss"]


def test_an_existing_run_is_never_overwritten(finished, text, tmp_path):
    folder, _ = finished
    before = (folder / "last.safetensors").read_bytes()
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--out", folder)
    assert (code, "already holds a run: go on with it by --resume" in err) == (2, True)
    assert (folder / "last.safetensors").read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path)
    assert (code, "exists and is not empty" in err) == (2, True)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_runs_are_numbered_and_an_empty_folder_may_be_given(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "debug-1").mkdir(parents=True)
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--steps", "2")
    assert code == 0, err
    assert (tmp_path / "runs" / "debug-2" / "summary.json").exists()
    pretrain(tmp_path / "runs" / "debug-1", text, "--steps", "2")
    assert (tmp_path / "runs" / "debug-1" / "summary.json").exists()


def test_a_finished_run_can_be_trained_longer(tmp_path, text):
    pretrain(tmp_path / "run", text)
    code, out, err = call("pretrain", "--resume", tmp_path / "run", "--steps", "9")
    assert code == 0, err
    assert "steps 7 to 9" in out
    assert open_run(tmp_path / "run").config.steps == 9
    assert [line["step"] for line in read_log(tmp_path / "run")] == [2, 3, 4, 6, 8, 9]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["tokens"] == 9 * 2 * 16


def test_the_best_weights_are_kept_even_if_the_last_are_worse(tmp_path, text):
    """A learning rate that rises until it breaks the model."""
    options = ["--steps", "12", "--evaluate-every", "1", "--warmup-ratio", "1", "--learning-rate", "4"]
    pretrain(tmp_path / "run", text, *options)
    losses = {line["step"]: line["validation_loss"] for line in read_log(tmp_path / "run")}
    assert min(losses.values()) < losses[12] - 0.5
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["best_step"] == min(losses, key=losses.get)
    assert load_checkpoint(tmp_path / "run" / "best.safetensors").step == summary["best_step"]
    assert summary["val_loss"] < losses[12] - 0.3, "the summary is about the best weights"


INTERRUPTED = ["--steps", "150", "--evaluate-every", "0", "--checkpoint-every", "0", "--log-every", "1"]
INTERRUPTED += ["--dropout", "0.1", "--accumulate", "2", "--evaluation-tokens", "32"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_saves_and_resume_equals_uninterrupted(tmp_path, text, number, exit_code):
    folder = tmp_path / "stopped"
    process = subprocess.Popen(
        [*COMMAND, "pretrain", *TINY, *INTERRUPTED, "--corpus", str(text), "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = folder / "log.jsonl"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.read_text().count("\n") >= 3:
            process.send_signal(number)
            break
        time.sleep(0.005)
    out, err = process.communicate(timeout=120)
    assert process.returncode == exit_code, err
    assert "stopping after this step" in err
    step = load_checkpoint(folder / "last.safetensors").step
    assert 3 <= step < 150, "it was stopped in the middle"
    assert f"stopped after step {step}, everything is saved; go on with:" in out
    assert f"tinygrad-llm pretrain --resume {folder}" in out

    code, _, err = call("pretrain", "--resume", folder)
    assert code == 0, err
    pretrain(tmp_path / "whole", text, *INTERRUPTED)
    assert_same_run(folder, tmp_path / "whole")


def test_the_debug_preset_runs_with_kernels_as_plain_python(tmp_path):
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    options = ["--preset", "debug", "--steps", "3", "--max-characters", "2000", "--out", str(tmp_path / "run")]
    done = subprocess.run([*COMMAND, "pretrain", *options], env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    losses = [line["loss"] for line in read_log(tmp_path / "run")]
    code, _, err = call("pretrain", *options[:-1], tmp_path / "compiled")
    assert code == 0, err
    assert losses == pytest.approx([line["loss"] for line in read_log(tmp_path / "compiled")], rel=1e-4)


def test_ctrl_c_before_the_first_step_leaves_nothing_behind(tmp_path, text, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_llm.cli.objectives.compression_bits_per_byte", interrupt)
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run")
    assert (code, err.strip()) == (130, "stopped")
    assert os.listdir(tmp_path) == []
