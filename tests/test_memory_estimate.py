"""The estimate of a run's memory against real peaks, and the refusal of a run that would not fit."""

from __future__ import annotations

import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cli_runs import TINY, call, pretrain, write_text

from tinygrad_llm.train import PretrainConfig, build_model, build_optimizer, language_modelling, train_steps
from tinygrad_llm.train.available_memory import available_memory
from tinygrad_llm.train.memory import PROGRAM, count_parameters, estimate_memory, require_memory

SMALL = PretrainConfig(vocab_size=512, n_layers=3, n_heads=4, d_model=64, max_seq_len=128, batch_size=8)
CONFIGS = {
    "activations": {},
    "checkpointed": {"checkpoint_activations": True, "n_layers": 6},
    "dropout and biases": {"dropout": 0.1, "bias": True},
    "parameters": {"d_model": 192, "batch_size": 1, "max_seq_len": 16},
    "vocabulary": {"vocab_size": 20_000, "batch_size": 2},
    "accumulate": {"vocab_size": 8000, "accumulate": 2, "batch_size": 2},
    "muon": {"d_model": 192, "optimizer": "muon", "batch_size": 1},
    "few heads": {"n_heads": 1, "batch_size": 1, "max_seq_len": 1024},
}
LLAMAS = {
    "activations": {},
    "grouped queries": {"n_kv_heads": 1},
    "checkpointed": {"checkpoint_activations": True, "n_layers": 6},
    "parameters": {"d_model": 192, "batch_size": 1, "max_seq_len": 16, "n_kv_heads": 2},
    "accumulate": {"vocab_size": 8000, "accumulate": 2, "batch_size": 2},
    "muon": {"d_model": 192, "optimizer": "muon", "batch_size": 1, "n_kv_heads": 1},
    "few heads": {"n_heads": 2, "n_kv_heads": 1, "batch_size": 1, "max_seq_len": 1024},
}
BERTS = {
    "activations": {},
    "checkpointed": {"checkpoint_activations": True, "n_layers": 6},
    "dropout": {"dropout": 0.1},
    "parameters": {"d_model": 192, "batch_size": 1, "max_seq_len": 16},
    "vocabulary": {"vocab_size": 20_000, "batch_size": 2},
    "blanks": {"vocab_size": 20_000, "mask_share": 0.4},
    "accumulate": {"vocab_size": 8000, "accumulate": 2, "batch_size": 2},
    "muon": {"d_model": 192, "optimizer": "muon", "batch_size": 1},
    "few heads": {"n_heads": 1, "batch_size": 1, "max_seq_len": 1024},
}
SEQ2SEQS = {name: BERTS[name] for name in ("activations", "checkpointed", "dropout", "accumulate", "muon", "few heads")}
CONFIGS |= {f"bert, {name}": {"model": "bert"} | changes for name, changes in BERTS.items()}
CONFIGS |= {f"seq2seq, {name}": {"model": "seq2seq", "optimizer": "adamw"} | SEQ2SEQS[name] for name in SEQ2SEQS}
CONFIGS |= {f"llama, {name}": {"model": "llama"} | changes for name, changes in LLAMAS.items()}


def two_steps(config: PretrainConfig) -> None:
    model, rng = build_model(config, config.vocab_size), np.random.default_rng(0)
    ids = rng.integers(0, config.vocab_size, (config.batch_size, config.max_seq_len + 1))
    x, y = ids[:, :-1], ids[:, 1:]
    if config.model == "bert":  # the loss is of the blanks only
        y = np.where(np.arange(config.max_seq_len) < max(round(config.mask_share * config.max_seq_len), 1), y, -100)
    source = (x, np.ones(x.shape, bool)) if config.model == "seq2seq" else ()
    batches = iter([(*source, x, y)] * 2 * config.accumulate)
    optimizer = build_optimizer(config, model)
    settings = {"n_steps": 2, "accumulate": config.accumulate, "clip": 1.0}
    for info in train_steps(model, batches, language_modelling, optimizer, lambda step: 1.0, **settings):
        assert np.isfinite(info.loss)


def traced_peak(config: PretrainConfig) -> int:
    """Of two training steps: Python's and NumPy's memory, without the kernels' own scratch."""
    tracemalloc.start()
    try:
        two_steps(config)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_estimate_is_within_a_tenth_of_the_arrays_peak(changes):
    config = SMALL.override(**changes)
    two_steps(config.override(batch_size=1, max_seq_len=16))  # compiles kernels, which takes memory too
    assert estimate_memory(config, config.vocab_size).total == pytest.approx(traced_peak(config), rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bias": True},
        {"model": "llama"},
        {"model": "llama", "n_kv_heads": 2},
        {"model": "bert"},
        {"model": "seq2seq"},
    ],
)
def test_parameters_are_counted_as_the_model_counts_them(changes):
    config = SMALL.override(**changes)
    assert count_parameters(config, 300) == build_model(config, 300).num_parameters()


def test_resuming_holds_the_checkpoint_beside_its_copy():
    config = SMALL.override(d_model=512, batch_size=1, max_seq_len=16)
    estimate, resumed = (estimate_memory(config, 512, resume) for resume in (False, True))
    assert resumed.total == 2 * (estimate.parameters + estimate.optimizer) > estimate.total


def fake_machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:  4000 kB\nMemFree:  500 kB\nMemAvailable:   2000 kB\n"}
V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/memory/"


def test_available_memory_is_what_linux_says(tmp_path):
    assert available_memory(fake_machine(tmp_path, MEMINFO)) == 2000 * 1024


def test_limit_of_a_control_group_version_2(tmp_path):
    """The limit stands at a group above; what is cached from files gives way."""
    files = {
        "proc/self/cgroup": "0::/user/job\n",
        V2 + "user/job/memory.max": "max\n",
        V2 + "user/job/memory.current": "700000\n",
        V2 + "user/memory.max": "1000000\n",
        V2 + "user/memory.current": "800000\n",
        V2 + "user/memory.stat": "anon 500000\ninactive_file 300000\n",
    }
    assert available_memory(fake_machine(tmp_path, MEMINFO | files)) == 500_000


def test_limit_of_a_control_group_version_1_in_a_container(tmp_path):
    """The process sees the host's path, and its own group at the top."""
    files = {
        "proc/self/cgroup": "9:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n0::/\n",
        V1 + "memory.limit_in_bytes": "1000000\n",
        V1 + "memory.usage_in_bytes": "400000\n",
        V1 + "memory.stat": "cache 9\ntotal_inactive_file 100000\n",
    }
    assert available_memory(fake_machine(tmp_path, MEMINFO | files)) == 700_000


def test_without_limits_or_beyond_them(tmp_path):
    files = {"proc/self/cgroup": "4:memory:/\n", V1 + "memory.limit_in_bytes": "9223372036854771712\n"}
    files |= {V1 + "memory.usage_in_bytes": "400000\n"}
    assert available_memory(fake_machine(tmp_path, MEMINFO | files)) == 2000 * 1024
    fake_machine(tmp_path, {V1 + "memory.limit_in_bytes": "300000\n"})
    assert available_memory(tmp_path) == 0


def test_where_the_system_does_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_memory(tmp_path) == 4_096_000
    monkeypatch.delattr(os, "sysconf")
    assert available_memory(tmp_path) is None


def test_of_this_machine():
    assert 0 < available_memory() < 1 << 50


GB = 1 << 30
LARGE = PretrainConfig(d_model=768, n_layers=12, n_heads=12, max_seq_len=1024, batch_size=12)


def options_of(message: str) -> list[dict]:
    """The changes that an error proposes."""
    found = []
    for options in re.split(r", or with ", message.partition("it would fit with ")[2]):
        words = options.split()
        changes = {}
        for i, word in enumerate(words):
            if word.startswith("--"):
                value = words[i + 1 : i + 2]
                changes[word[2:].replace("-", "_")] = int(value[0]) if value and value[0].isdigit() else True
        found.append(changes)
    return found


@pytest.mark.parametrize(("available", "n_proposed"), [(7 * GB, 2), (5 * GB, 2), (3.3 * GB, 1)])
def test_what_is_proposed_fits(available, n_proposed):
    with pytest.raises(
        ValueError, match=r"needs about 1\d.\d GB of memory .* are available: it would fit with"
    ) as error:
        require_memory(LARGE, 50257, available)
    proposed = options_of(str(error.value))
    assert len(proposed) == n_proposed
    for changes in proposed:
        changed = LARGE.override(**changes)
        require_memory(changed, 50257, available)
        assert changed.batch_size * changed.accumulate == 12, "it teaches the same"


def test_a_model_that_fits_with_nothing():
    with pytest.raises(ValueError, match="make the model smaller by --d-model"):
        require_memory(LARGE, 50257, GB)
    with pytest.raises(ValueError, match="on a machine with more memory"):
        require_memory(LARGE, 50257, GB, changeable=("steps",), resume=True)
    with pytest.raises(ValueError, match=r"fit with --checkpoint-activations$"):
        require_memory(LARGE, 50257, 7 * GB, changeable=("steps", "checkpoint_activations"), resume=True)


def test_where_nothing_is_known_nothing_is_refused():
    assert require_memory(LARGE, 50257, None).total > 8 * GB


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.cli.pretrain.available_memory", lambda: PROGRAM + 100_000)


def test_pretrain_says_what_it_needs(tmp_path):
    out = pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--steps", "1")
    assert re.search(r"memory needed: about \d+ MB \(parameters \d+ MB, gradients .*\), of \S+ [GM]B available", out)


def test_pretrain_refuses_what_would_not_fit_and_leaves_nothing(tmp_path, small_machine):
    text = write_text(tmp_path / "text.txt")
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run", "--batch-size", "64")
    assert code == 2
    assert re.search(r"needs about \d+ MB of memory \(.*are available: (it would fit|make the model smaller)", err)
    assert os.listdir(tmp_path) == ["text.txt"]


def test_resume_refuses_too(tmp_path, monkeypatch):
    pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--steps", "1")
    monkeypatch.setattr("tinygrad_llm.cli.pretrain.available_memory", lambda: 0)
    code, _, err = call("pretrain", "--resume", tmp_path / "run", "--steps", "2")
    assert (code, "go on with it on a machine with more memory" in err) == (2, True)


def test_a_run_may_change_to_checkpointing_on_the_way(tmp_path):
    """And learns the same, with dropout too, as if it had not."""
    from tinygrad_llm.train import load_checkpoint

    text = write_text(tmp_path / "text.txt")
    for name, options in (("plain", []), ("light", ["--checkpoint-activations"])):
        pretrain(tmp_path / name, text, "--dropout", "0.1", "--steps", "3")
        code, _, err = call("pretrain", "--resume", tmp_path / name, "--steps", "6", *options)
        assert code == 0, err
    one, two = (load_checkpoint(tmp_path / name / "last.safetensors") for name in ("plain", "light"))
    assert one.generators == two.generators
    for name, weights in one.weights.items():
        assert (weights == two.weights[name]).all(), name
