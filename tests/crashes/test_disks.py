"""Full disks, and folders that cannot be written: one sentence, nothing lost, and it goes on when that is mended.

A full disk is a tmpfs of a few pages where one can be mounted, and always a limit on the size of files.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_runs import TINY, call, file_size_limit, pretrain, read_log, write_text

from tinygrad_llm.cli import train
from tinygrad_llm.train import load_checkpoint

pytestmark = pytest.mark.stress
BERT = Path(__file__).parents[2] / "lessons" / "pretrained" / "bert"
PAGE, NOBODY = 4096, 65534
FULL = ("the disk is full", "No space left on device", "no larger file can be written", "File too large")


@contextmanager
def mounted(folder: Path, options: str):
    """A tmpfs; the test is skipped where none can be mounted, as in most containers."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tinygrad_llm", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, text):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    pretrain(folder, text, "--steps", "12")
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, text):
    """The same run, stopped by Ctrl-C after the third step."""
    folder, save = tmp_path_factory.mktemp("stopped") / "run", train.save_checkpoint

    def interrupted(path, model, step, *arguments, **options):
        save(path, model, step, *arguments, **options)
        if path.stem == "best":
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "save_checkpoint", interrupted)
        code, _, err = call("pretrain", *TINY, "--steps", "12", "--corpus", text, "--out", folder)
    assert (code, load_checkpoint(folder / "last.safetensors").step) == (130, 4), err
    return folder


def assert_goes_on(folder: Path, whole: Path) -> None:
    code, _, err = call("pretrain", "--resume", folder)
    assert code == 0, err
    logs = [[line | {"seconds": 0} for line in read_log(each)] for each in (folder, whole)]
    assert logs[0] == logs[1]
    one, two = (load_checkpoint(each / "last.safetensors") for each in (folder, whole))
    for name, array in (one.weights | one.optimizer["arrays"]).items():
        np.testing.assert_array_equal(array, (two.weights | two.optimizer["arrays"])[name], err_msg=name)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def refused(*argv) -> str:
    code, _, err = call(*argv)
    lines = [line for line in err.strip().splitlines() if line]
    assert (code, len(lines)) == (2, 1), err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize("free", [0, 1, 3, 20])
def test_training_on_a_disk_that_is_full(tmp_path, stopped, whole, free):
    """With so many pages left it fails at the settings, the log, a checkpoint, the best weights."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=2m"):
        run = shutil.copytree(stopped, disk / "run")
        state = os.statvfs(disk)
        (disk / "filler").write_bytes(b"x" * (state.f_bavail - free) * state.f_bsize)
        sentence = refused("pretrain", "--resume", run)
        assert any(reason in sentence for reason in FULL), sentence
        assert "tmp'" not in sentence, "the name of a temporary file means nothing to anybody"
        assert load_checkpoint(run / "last.safetensors").step >= 4
        assert not [name for name in os.listdir(run) if name.endswith(".tmp")]
        (disk / "filler").unlink()
        assert_goes_on(run, whole)


@pytest.mark.parametrize("size", [100, 1300, 20_000, 60_000])
def test_training_where_files_cannot_grow(tmp_path, stopped, whole, size):
    run = shutil.copytree(stopped, tmp_path / "run")
    with file_size_limit(size):
        sentence = refused("pretrain", "--resume", run)
    assert any(reason in sentence for reason in FULL), sentence
    assert load_checkpoint(run / "last.safetensors").step >= 4
    assert_goes_on(run, whole)


def table(folder: Path) -> Path:
    rows = (f"a {('dog', 'saw')[i % 2]} number {i},{('animal', 'tool')[i % 2]}\n" for i in range(40))
    (folder / "table.csv").write_text("text,kind\n" + "".join(rows))
    return folder / "table.csv"


def commands(text: Path, run: Path, data: Path) -> dict[str, list]:
    """All that write more than a line; where to goes at the end."""
    fast = ["--epochs", "1", "--batch-size", "16", "--max-seq-len", "16"]
    classify = ["finetune", "classify", "--data", data, "--text-column", "text", "--label-column", "kind", *fast]
    return {
        "pretrain": ["pretrain", *TINY, "--corpus", text, "--out"],
        "tokenize": ["tokenize", "--train", "--corpus", text, "--vocab-size", "300", "--out"],
        "quantize a run": ["quantize", "--from", run, "--out"],
        "quantize a model": ["quantize", "--from", BERT, "--dtype", "bfloat16", "--out"],
        "finetune": [*classify, "--from", BERT, "--out"],
        "finetune adapters": [*classify, "--from", BERT, "--lora-rank", "2", "--out"],
    }


def _sizes(path: Path) -> list[int]:
    return [each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()]


@pytest.mark.parametrize("how", ["tmpfs", "limit"])
@pytest.mark.parametrize("name", list(commands(*[Path()] * 3)))
def test_no_half_written_result(tmp_path, text, whole, name, how):
    command, disk = commands(text, whole, table(tmp_path))[name], tmp_path / "disk"
    disk.mkdir()
    code, _, err = call(*command, tmp_path / "roomy.json")
    assert code == 0, err
    made = _sizes(tmp_path / "roomy.json")
    for share in (0.0, 0.9) if name.startswith("finetune") else (0.0, 0.3, 0.6, 0.9):
        if how == "limit":
            with file_size_limit(int(share * max(made))):
                sentence = refused(*command, disk / "out.json")
            left = os.listdir(disk)
        else:
            pages = int(share * sum(made)) // PAGE
            with mounted(disk, f"size={(1 + pages) * PAGE}"):
                (disk / "filler").write_bytes(b"x" * PAGE)
                sentence = refused(*command, disk / "out.json")
                (disk / "filler").unlink()
                left = os.listdir(disk)
        if name == "pretrain" and left:  # it was prepared, and failed in training
            assert left == ["out.json"]
            shutil.rmtree(disk / "out.json", ignore_errors=True)
        else:
            assert left == []
        assert any(reason in sentence for reason in FULL), sentence


@contextmanager
def unwritable(folder: Path):
    """For root the file system has to be, for others the permissions of the folders are enough."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in folders:
            each.chmod(0o755)


def assert_read_only(parent: Path, text: Path, reason: str) -> None:
    before = {path: path.read_bytes() for path in parent.rglob("*") if path.is_file()}
    sentence = refused("pretrain", "--resume", parent / "run")
    assert f"'{parent / 'run'}': {reason}" in sentence
    for out in (parent / "new", parent / "deeper" / "new"):
        assert reason in refused("pretrain", *TINY, "--corpus", text, "--out", out)
    assert reason in refused("quantize", "--from", parent / "run", "--out", parent / "new")
    assert call("info", parent / "run")[0] == 0
    assert call("generate", "--run", parent / "run", "--max-new-tokens", "2")[0] == 0
    assert {path: path.read_bytes() for path in parent.rglob("*") if path.is_file()} == before


def test_a_read_only_file_system(tmp_path, text, stopped, whole):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=2m"):
        shutil.copytree(stopped, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_read_only(disk, text, "it cannot be written, the file system is read-only")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert_goes_on(disk / "run", whole)


def test_a_folder_of_somebody_else(stopped, whole):
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder, "runs")
        os.chmod(folder, 0o755)
        shutil.copytree(stopped, parent / "run")
        text = write_text(Path(folder, "text.txt"))
        for path in (text, parent, *parent.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        with unwritable(parent):
            assert_read_only(parent, text, "permission denied")
        assert_goes_on(parent / "run", whole)
