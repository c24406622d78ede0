"""What the tests of the command line share: a small text, tiny settings, and a way to call the command."""

import contextlib
import io
import json
import resource
from pathlib import Path

import numpy as np

from tinygrad_llm.cli import main
from tinygrad_llm.train import load_checkpoint

TINY = ["--preset", "debug", "--max-characters", "0", "--steps", "6", "--evaluate-every", "3", "--log-every", "2"]
TINY += ["--checkpoint-every", "3"]


def write_text(path: Path, n_lines: int = 120) -> Path:
    lines = (f"Line {i} says that {i * i} is the square of {i}.\n\n" for i in range(n_lines))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def call(*argv) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(each) for each in argv])
        except SystemExit as exit:
            code = exit.code
    return code, out.getvalue(), err.getvalue()


def pretrain(folder: Path, corpus: Path | None, *options) -> str:
    """A finished tiny run in `folder`; returns what was printed."""
    text = [] if corpus is None else ["--corpus", corpus]
    code, out, err = call("pretrain", *TINY, *text, "--out", folder, *options)
    assert code == 0, err
    return out


def read_log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_resume_equals_uninterrupted(folder: Path, corpus: Path | None, *options) -> None:
    """A tiny run of six steps, and one of three and three more: the same weights, states and losses, bit for bit."""
    pretrain(folder / "whole", corpus, *options)
    pretrain(folder / "half", corpus, *options, "--steps", "3")
    code, _, err = call("pretrain", "--resume", folder / "half", "--steps", "6")
    assert code == 0, err
    whole, half = (load_checkpoint(folder / name / "last.safetensors") for name in ("whole", "half"))
    assert (whole.step, whole.generators, whole.batches) == (half.step, half.generators, half.batches)
    arrays = half.weights | half.optimizer["arrays"]
    for name, array in (whole.weights | whole.optimizer["arrays"]).items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    losses = [[(line["step"], line["loss"]) for line in read_log(folder / name)] for name in ("whole", "half")]
    assert losses[0] == losses[1]


@contextlib.contextmanager
def file_size_limit(size: int):
    """No file can grow beyond so many bytes: the operating system refuses the write, as on a full disk."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
