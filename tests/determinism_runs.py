"""Training runs of all kinds by the command line, for `test_determinism.py`, which starts this in several processes.

    python tests/determinism_runs.py FOLDER [STOP_AFTER]

It prints the losses and a hash of the weights of each, as JSON.
With STOP_AFTER each pretraining run gets a Ctrl-C in that step and is resumed; the rest of it computes activations
twice (--checkpoint-activations), which must not matter either.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from cli_runs import call, read_log, write_text
from safetensors.numpy import load_file

from tinygrad_llm.cli.progress import Progress
from tinygrad_llm.files import read_json
from tinygrad_llm.train import load_checkpoint

STEPS, INTERRUPTED = 6, 130
# Large enough for every kernel to share out its loops between threads.
SIZES = ["--n-layers", "2", "--n-heads", "2", "--d-model", "64", "--max-seq-len", "64", "--batch-size", "8"]
SHORT = ["--preset", "debug", "--steps", STEPS, "--log-every", "1", "--evaluate-every", "3", *SIZES]
MUON = ["--optimizer", "muon", "--accumulate", "2"]
DROPOUT = ["--dropout", "0.1"]
BPE = ["--max-characters", "0", "--tokenizer", "bpe", "--vocab-size", "400"]
PAIRS = ["--pairs", "numbers", "--n-pairs", "300", "--label-smoothing", "0.1"]
PRETRAIN = {
    "gpt": [*BPE, *MUON, *DROPOUT, "--bias"],
    "gpt-adamw": [*BPE, *DROPOUT, "--checkpoint-activations"],
    "llama": ["--model", "llama", "--n-kv-heads", "1", *BPE, *MUON],
    "bert": ["--model", "bert", *DROPOUT, *BPE, "--tokenizer", "wordpiece"],
    "seq2seq": [
        "--model",
        "seq2seq",
        *DROPOUT,
        *MUON,
        *["--pairs", "numbers", "--n-pairs", "300", "--label-smoothing", "0.1"],
    ],
}
MUON_FACTOR = ["--muon-factor", "10", "--layer-decay", "1", "--learning-rate", "0.001"]
EPOCH = ["--epochs", "1", "--batch-size", "8"]
FINE_TUNE = {  # name: what is adapted, and how
    "classify": ("bert", [*EPOCH, "--data", "classes.jsonl", "--max-examples", "48"]),
    "classify-muon": ("gpt", [*EPOCH, "--data", "classes.jsonl", "--max-examples", "48", *MUON_FACTOR]),
    "chat": ("gpt", [*EPOCH, "--data", "chats.jsonl", "--test-answers", "4", "--row-length", "64"]),
    "chat-lora": ("llama", [*EPOCH, "--data", "chats.jsonl", "--test-answers", "4", "--lora-rank", "2"]),
    "prefer": ("chat", [*EPOCH, "--data", "pairs.jsonl", "--n-samples", "4"]),
}


def write_examples() -> None:
    """Examples for each kind of fine-tuning, in the working directory."""
    rows = {"classes.jsonl": [], "chats.jsonl": [], "pairs.jsonl": []}
    for i in range(150):
        colour = ("red", "blue", "green", "grey")[i % 4]
        question, answer = f"Where is {i}?", f"See the {colour} one."
        rows["classes.jsonl"].append({"text": f"{i}: {answer}", "label": colour})
        rows["chats.jsonl"].append({"instruction": question, "input": "", "output": answer})
        rows["pairs.jsonl"].append({"prompt": question, "chosen": answer, "rejected": f"Go find the {colour} one."})
    for name, each in rows.items():
        Path(name).write_text("\n".join(map(json.dumps, each)), encoding="utf-8")


def command(*argv, expected: int = 0) -> None:
    code, shown, error = call(*argv)
    if code != expected:
        raise RuntimeError(f"{argv} gave {code}: {error or shown}")


def interrupt_in(step: int | None) -> None:
    """Let this process get a Ctrl-C in that step of each new run."""
    add = Progress.add

    def add_and_interrupt(self, info, **options):
        add(self, info, **options)
        if info.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    Progress.add = add_and_interrupt


def hash_of(arrays: dict[str, np.ndarray]) -> str:
    state = hashlib.sha256()
    for name in sorted(arrays):
        state.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode() + arrays[name].tobytes())
    return state.hexdigest()


def without_times(lines: list[dict]) -> list[dict]:
    """What was logged, but for what the clock says."""
    return [{key: line[key] for key in line if key != "seconds"} for line in lines]


def pretrained(name: str, stop_after: int | None) -> dict:
    corpus = [] if name == "seq2seq" else ["--corpus", "corpus.txt"]
    start = ["pretrain", *SHORT, *PRETRAIN[name], *corpus, "--out", name]
    command(*start, expected=INTERRUPTED if stop_after else 0)
    if stop_after:
        command("pretrain", "--resume", name, "--checkpoint-activations")
    checkpoint = load_checkpoint(Path(name) / "last.safetensors")
    return {
        "losses": without_times(read_log(Path(name))),
        "weights": hash_of(checkpoint.weights | checkpoint.optimizer["arrays"]),
    }


def fine_tuned(name: str) -> dict:
    base, options = FINE_TUNE[name]
    command("finetune", name.partition("-")[0], "--from", base, *options, "--out", name)
    weights = {}
    for path in Path(name).rglob("*.safetensors"):
        weights |= {f"{path.relative_to(name)} {key}": array for key, array in load_file(path).items()}
    return {"losses": without_times(read_json(Path(name) / "report.json")["history"]), "weights": hash_of(weights)}


def main(folder: str, stop_after: str = "") -> None:
    os.chdir(folder)
    write_text(Path("corpus.txt"), 400)
    write_examples()
    interrupt_in(int(stop_after) if stop_after else None)
    runs = {name: pretrained(name, int(stop_after or 0) or None) for name in PRETRAIN}
    interrupt_in(None)
    print(json.dumps(runs | {name: fine_tuned(name) for name in FINE_TUNE}))


if __name__ == "__main__":
    main(*sys.argv[1:])
