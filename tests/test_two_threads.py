"""Two models trained in two Python threads at the same time: the losses of each are those it has alone, bit for bit.

What could go wrong: state that threads share (grad mode, scratch arrays), kernels that are compiled for the first time
in both, and Numba's threading layers, of which "workqueue" ends the process when two threads enter it at once: there
kernels take turns (kernel.py).
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRAIN_BOTH = """
import sys, threading
import numba, numpy as np
from tinygrad_llm import no_grad
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.train import build_optimizer, language_modelling, train_steps
from tinygrad_llm.train.recipes import PretrainConfig

STEPS = 6
CONFIGS = [
    (GPT, GPTConfig(vocab_size=65, max_seq_len=64, n_layers=2, n_heads=2, d_model=64, dropout=0.1)),
    (Llama, LlamaConfig(vocab_size=131, max_seq_len=48, n_layers=1, n_heads=3, n_kv_heads=1, d_model=48, d_ff=96)),
]

def batches(config, seed):
    rng = np.random.default_rng(seed)
    while True:
        tokens = rng.integers(0, config.vocab_size, (8, config.max_seq_len + 1))
        yield tokens[:, :-1], tokens[:, 1:]

def losses_of(number):
    kind, config = CONFIGS[number]
    model = kind(config, np.random.default_rng(number))
    optimizer = build_optimizer(PretrainConfig(optimizer=("muon", "adamw")[number]), model)
    held_out, losses = next(batches(config, 99)), []
    steps = train_steps(model, batches(config, number), language_modelling, optimizer, lambda step: 1.0,
                        n_steps=STEPS, accumulate=2 - number, clip=1.0)
    for info in steps:
        losses.append(info.loss)
        model.eval()
        with no_grad():
            out = language_modelling(model, held_out)
        assert not out.requires_grad
        losses.append(out.item())
    return losses

def both_at_once():
    found, barrier = {}, threading.Barrier(2)
    def work(number):
        barrier.wait()
        found[number] = losses_of(number)
    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

sys.setswitchinterval(1e-5)  # change threads as often as possible
together = [both_at_once() for _ in range(2)]  # in the first, kernels are compiled or loaded in both
alone = {number: losses_of(number) for number in (0, 1)}
assert len(alone[0]) == 2 * STEPS and len(set(alone[0] + alone[1])) > 2 * STEPS
assert all(found == alone for found in together), (together, alone)
print(numba.threading_layer(), numba.get_num_threads())
"""


def run_python(code: str, **environment: str) -> str:
    """What a new process with two of Numba's threads prints; fails where it does, or dies."""
    settings = {"NUMBA_NUM_THREADS": "2", "NUMBA_DISABLE_JIT": "0", "OMP_WAIT_POLICY": "passive"}
    environment = os.environ | settings | environment
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, f"exit code {result.returncode}: {result.stderr[-3000:]}"
    return result.stdout.strip()


@pytest.mark.stress
@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_two_models_in_two_threads_do_not_disturb_each_other(layer):
    try:
        ran_on = run_python(TRAIN_BOTH, NUMBA_THREADING_LAYER=layer)
    except AssertionError as error:
        if layer == "omp" and "No threading layer could be loaded" in str(error):
            pytest.skip("no OpenMP here")
        raise
    assert ran_on == f"{layer} 2"


COMPILE_IN_BOTH = """
import threading
import numba, numpy as np
from tinygrad_llm import functional as F, tensor

def gradient_of(number):
    x = tensor(np.random.default_rng(number).standard_normal((64, 48), np.float32), requires_grad=True)
    rows = (F.softmax, F.rms_norm)[number]
    (rows(x, -1 if number == 0 else 48) * F.silu(x)).sum().backward()
    return x.grad.data

def work(number):
    barrier.wait()
    found[number] = gradient_of(number)

found, barrier = {}, threading.Barrier(2)
threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert all(np.array_equal(found[number], gradient_of(number)) for number in (0, 1))
print(numba.threading_layer(), numba.get_num_threads())
"""


@pytest.mark.stress
def test_kernels_that_both_threads_compile_first(tmp_path):
    assert run_python(COMPILE_IN_BOTH, NUMBA_CACHE_DIR=str(tmp_path)) == "workqueue 2"
