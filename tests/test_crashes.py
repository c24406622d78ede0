"""Kills and failing disks at each step of a save: what is written under a name is whole, and nothing is lost."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import TINY, call, read_log
from safetensors import SafetensorError
from safetensors.numpy import load_file

from tinygrad_llm import files
from tinygrad_llm.cli.errors import explain
from tinygrad_llm.cli.log import Log
from tinygrad_llm.files import new_folder, remove_leftovers, replacing, write_json, write_tensors
from tinygrad_llm.lock import LOCK_NAME, is_locked
from tinygrad_llm.train import load_checkpoint

CALLS = ("os.fsync", "os.link", "os.replace", "os.unlink", "os.rmdir", "os.mkdir")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and nothing can be done any more."""


def killed_at(monkeypatch, number, after):
    """From now on the n-th call that changes a file, and all after it, do nothing but raise."""
    left = number
    functions = {name: getattr(os, name.removeprefix("os.")) for name in CALLS}

    def deadly(function):
        def wrapped(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0 and after:
                with contextlib.suppress(OSError):
                    function(*arguments, **options)
            if left <= 0:
                raise Killed
            return function(*arguments, **options)

        return wrapped

    for name, function in functions.items():
        monkeypatch.setattr(name, deadly(function))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_kill_at_any_step_of_a_save_leaves_whole_files(tmp_path, monkeypatch, number, after):
    """The newest is the old or the new one, the one before it is never gone, and the next save tidies up."""
    path, previous = tmp_path / "last", tmp_path / "previous"

    def save(content):
        with replacing(path, keep_as=previous) as temporary:
            temporary.write_text(content)

    save("1")
    save("2")
    killed_at(monkeypatch, number, after)
    try:
        save("3")
        done = True
    except Killed:
        done = False
    monkeypatch.undo()
    contents = (path.read_text(), previous.read_text())
    assert contents in (("2", "1"), ("3", "1"), ("3", "2")), contents
    assert done is (number == 8), "seven calls make a save"
    if done:
        assert contents == ("3", "2")
    remove_leftovers(tmp_path)
    save("4")
    assert (path.read_text(), previous.read_text()) == ("4", contents[0])
    assert sorted(os.listdir(tmp_path)) == ["last", "previous"]


def test_the_one_before_goes_only_when_the_new_one_is_durable(tmp_path, monkeypatch):
    """Its place is taken last, after the file and the folder with its name were flushed."""
    done = []
    for name in ("fsync", "link", "replace"):
        function = getattr(os, name)

        def noted(*arguments, name=name, function=function):
            done.append(name if name == "fsync" else f"{name} {Path(arguments[-1]).name.split('.')[-1]}")
            return function(*arguments)

        monkeypatch.setattr(os, name, noted)
    for _ in range(2):
        done.clear()
        files_written(tmp_path / "new.last", tmp_path / "new.previous")
    assert done == ["fsync", "link tmp", "replace last", "fsync", "replace previous"]


def files_written(path, keep_as):
    with replacing(path, keep_as) as temporary:
        temporary.write_text("content")


def test_without_hard_links_the_one_before_is_a_copy(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.link", refuse)
    for content in "123":
        with replacing(tmp_path / "last", keep_as=tmp_path / "previous") as temporary:
            temporary.write_text(content)
    assert [(tmp_path / name).read_text() for name in ("last", "previous")] == ["3", "2"]
    assert sorted(os.listdir(tmp_path)) == ["last", "previous"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_kill_while_a_folder_is_made_does_not_stop_the_next_one(tmp_path, monkeypatch, number, after):
    folder = tmp_path / "new"

    def make(content):
        with new_folder(folder, "choose another") as building:
            (building / "sub").mkdir()
            (building / "sub" / "file").write_text(content)

    killed_at(monkeypatch, number, after)
    with pytest.raises(Killed):
        make("first" * 1000)
    monkeypatch.undo()
    lock_files = [path for path in tmp_path.rglob(LOCK_NAME) if path.parent != folder]
    assert not any(is_locked(path.parent) for path in lock_files), "its holder is gone"
    if (folder / "sub").exists():
        assert (folder / "sub" / "file").read_text() == "first" * 1000
        with pytest.raises(ValueError, match="is not empty: choose another"):
            make("second")
    else:
        make("second")
        assert sorted(os.listdir(folder)) == ["sub"]
        assert (folder / "sub" / "file").read_text() == "second"
        assert os.listdir(tmp_path) == ["new"]


def test_who_can_read_a_text_can_read_tensors(tmp_path):
    """safetensors alone makes files that only their owner can read."""
    write_json(tmp_path / "config.json", {})
    write_tensors(tmp_path / "model.safetensors", {"x": np.arange(3.0)}, {"format": "pt"})
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert len(modes) == 1
    assert len(os.listdir(tmp_path)) == 2
    np.testing.assert_array_equal(load_file(tmp_path / "model.safetensors")["x"], np.arange(3.0))


def test_the_newest_checkpoint_and_the_one_before_are_kept(finished):
    steps = [load_checkpoint(finished / f"{name}.safetensors").step for name in ("last", "previous")]
    assert steps == [6, 3]
    modes = {(finished / name).stat().st_mode & 0o777 for name in ("last.safetensors", "config.json")}
    assert len(modes) == 1, "who can read the settings can read the weights"


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing"])
def test_where_the_newest_is_damaged_resume_says_how_to_go_on_and_that_works(run, finished, how):
    last, content = run / "last.safetensors", bytearray((run / "last.safetensors").read_bytes())
    content[-9] ^= 4
    last.write_bytes(content if how == "flipped" else content[:3000])
    if how == "missing":
        last.unlink()
    code, _, err = call("pretrain", "--resume", run)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    command = err.partition("rename it, ")[2].partition(", and resume again")[0]
    assert "the one before, of step 3, is whole" in err
    subprocess.run(command, shell=True, check=True)
    code, _, err = call("pretrain", "--resume", run)
    assert code == 0, err
    times = {"seconds"}
    logs = [[{k: line[k] for k in line.keys() - times} for line in read_log(folder)] for folder in (run, finished)]
    assert logs[0] == logs[1]
    (run / "last.safetensors").write_bytes(b"x")
    (run / "previous.safetensors").write_bytes(b"x")
    code, _, err = call("pretrain", "--resume", run)
    assert (code, "is no complete safetensors file" in err, "the one before" in err) == (2, True, False)


def test_leftovers_of_killed_processes_are_removed_at_the_next_resume(run):
    for name in (".last.safetensors.123456.tmp", ".config.json.7.tmp", ".tmpAb3dEf"):
        (run / name).write_bytes(b"half")
    (run / ".notes").write_text("mine")
    (run / LOCK_NAME).write_text('{"pid": 1}')
    code, _, err = call("pretrain", "--resume", run)
    assert code == 0, err
    assert [name for name in os.listdir(run) if name.startswith(".")] == [".notes"]


def test_a_kill_while_the_log_is_mended_loses_no_line(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    content = "".join(json.dumps({"step": step}) + "\n" for step in range(1, 9))
    for number in range(1, 3):
        path.write_text(content)
        killed_at(monkeypatch, number, after=False)
        with pytest.raises(Killed):
            Log(path, 4)
        monkeypatch.undo()
        assert path.read_text() == content


def test_what_safetensors_hides_in_its_text_is_explained():
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert "the disk is full: make room" in explain(full)
    assert explain(SafetensorError("invalid header")) is None


def test_errors_name_the_file_rather_than_its_temporary_name(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=r"config\.json") as caught:
        files.write_json(tmp_path / "config.json", {})
    assert explain(caught.value) == f"'{tmp_path / 'config.json'}': the disk failed to read or to write it: " + (
        "look after the disk, and choose another one with --out"
    )
    with pytest.raises(OSError, match=r"new'") as caught, new_folder(tmp_path / "new", "") as building:
        (building / "file").write_text("")
    assert caught.value.filename == str(tmp_path / "new")
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(tmp_path / "file"):
        Path(tmp_path, "elsewhere").read_text()
    assert os.listdir(tmp_path) == []


def test_sigterm_while_a_run_is_prepared_leaves_nothing(tmp_path, text, monkeypatch):
    monkeypatch.setattr(
        "tinygrad_llm.cli.objectives.compression_bits_per_byte", lambda *texts: signal.raise_signal(signal.SIGTERM)
    )
    before = signal.getsignal(signal.SIGTERM)
    code, _, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run")
    assert (code, err.strip()) == (143, "stopped")
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once_and_resume_goes_on(tmp_path, text, monkeypatch, number, code):
    from tinygrad_llm.cli import train

    saved = []

    def signalled(*arguments, **options):
        saved.append(arguments[2])
        if len(saved) == 1:
            signal.raise_signal(number)
            signal.raise_signal(number)
        return save(*arguments, **options)

    save = train.save_checkpoint
    monkeypatch.setattr(train, "save_checkpoint", signalled)
    got, _, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run")
    assert (got, err.count("stopping after this step"), err.strip().splitlines()[-1]) == (code, 1, "stopped")
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").step == 0
    monkeypatch.undo()
    began = time.monotonic()
    assert call("pretrain", "--resume", tmp_path / "run")[0] == 0, time.monotonic() - began
    assert [line["step"] for line in read_log(tmp_path / "run")] == [2, 3, 4, 6]
