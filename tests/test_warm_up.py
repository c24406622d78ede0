"""What compiles kernels ahead of time compiles those that training needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tinygrad_llm import kernel, warm_up

COMPILED_BY_A_STEP = """
import sys
import numpy as np
from tinygrad_llm import kernel, warm_up
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.train import PretrainConfig, build_optimizer, language_modelling, train_steps

def compiled():
    return {(each.__name__, s) for each in kernel._kernels if each.dispatcher for s in each.dispatcher.signatures}

for task in warm_up.TASKS.values():
    task()
before = compiled()
bias, dropout = sys.argv[1] == "True", float(sys.argv[2])
model = GPT(GPTConfig(70, 16, n_layers=1, n_heads=2, d_model=32, dropout=dropout, bias=bias), np.random.default_rng(0))
ids = np.zeros((4, 16), np.int64)
for _ in train_steps(model, iter([(ids, ids)]), language_modelling, build_optimizer(PretrainConfig(), model),
                     lambda step: 1.0, n_steps=1, clip=1.0):
    pass
print(sorted(name for name, _ in compiled() - before))
"""


@pytest.mark.parametrize(("bias", "dropout"), [(False, 0.0), (True, 0.1)])
def test_a_training_step_finds_its_kernels_compiled(bias, dropout):
    code = [sys.executable, "-c", COMPILED_BY_A_STEP, str(bias), str(dropout)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0"}
    result = subprocess.run(code, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.strip() == "[]"


def test_nothing_to_do_where_kernels_are_plain_python():
    with kernel.no_jit():
        assert not warm_up.is_needed()


def test_a_process_for_each_task(monkeypatch):
    started = []
    monkeypatch.setattr(warm_up.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(warm_up.subprocess, "run", lambda command, **_: started.append(command[-1]))
    warm_up.compile_kernels()
    assert sorted(started) == sorted(warm_up.TASKS)
