"""What compiles kernels ahead of time compiles those that training needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tinygrad_llm import kernel, warm_up
from tinygrad_llm.train.recipes import CHOICES

COMPILED_BY_A_STEP = """
import json
import sys
import numpy as np
from tinygrad_llm import kernel, warm_up
from tinygrad_llm.train import PretrainConfig, build_model, build_optimizer, language_modelling, train_steps

def compiled():
    return {(each.__name__, s) for each in kernel._kernels if each.dispatcher for s in each.dispatcher.signatures}

kind, settings = sys.argv[1], json.loads(sys.argv[2])
for task in warm_up.TASKS_OF[kind]:
    task()
before = compiled()
config = PretrainConfig().override(model=kind, n_layers=1, n_heads=2, d_model=32, max_seq_len=16, **settings)
model = build_model(config, settings.get("vocab_size", 70))
ids = np.zeros((4, 16), np.int64)
source = (ids, ids == np.arange(16)) if kind == "seq2seq" else ()
for _ in train_steps(model, iter([(*source, ids, ids)]), language_modelling, build_optimizer(config, model),
                     lambda step: 1.0, n_steps=1, clip=1.0):
    pass
print(sorted(name for name, _ in compiled() - before))
"""


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("gpt", {}),
        ("gpt", {"bias": True, "dropout": 0.1}),
        ("gpt", {"vocab_size": 4000}),
        ("llama", {}),
        ("llama", {"n_kv_heads": 1}),
        ("bert", {"dropout": 0.1}),
        ("seq2seq", {"dropout": 0.1}),
    ],
)
def test_a_training_step_finds_its_kernels_compiled(model, settings):
    code = [sys.executable, "-c", COMPILED_BY_A_STEP, model, json.dumps(settings)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0"}
    result = subprocess.run(code, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.strip() == "[]"


def test_nothing_to_do_where_kernels_are_plain_python():
    with kernel.no_jit():
        assert not warm_up.is_needed()


@pytest.mark.parametrize("model", warm_up.TASKS_OF)
def test_a_process_for_each_task(monkeypatch, model):
    started = []
    monkeypatch.setattr(warm_up.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(warm_up.subprocess, "run", lambda command, **_: started.append(command[3:]))
    warm_up.compile_kernels(model)
    assert sorted(started) == sorted([task.__name__] for task in warm_up.TASKS_OF[model])
    assert {name for names in started for name in names} <= set(warm_up.TASKS)


def test_one_process_for_all_on_one_core(monkeypatch):
    """Not this one: what it compiled itself might round otherwise than what it loads in its next run."""
    started = []
    monkeypatch.setattr(warm_up.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(warm_up.subprocess, "run", lambda command, **_: started.append(command[3:]))
    warm_up.compile_kernels("gpt")
    assert started == [[task.__name__ for task in warm_up.TASKS_OF["gpt"]]]


def test_every_model_has_its_tasks():
    assert set(warm_up.TASKS_OF) == set(CHOICES["model"])
