"""The lock of a folder: one process at a time, told who it is, and nobody kept out by one that is gone."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli_runs import TINY, call, pretrain

from tinygrad_llm import lock
from tinygrad_llm.lock import LOCK_NAME, Lock

BERT = Path(__file__).parents[2] / "lessons" / "pretrained" / "bert"


@pytest.fixture
def run(tmp_path, text):
    pretrain(tmp_path / "run", text, "--steps", "1")
    return tmp_path / "run"


HOLD = """
    import sys, time
    from tinygrad_llm.lock import Lock
    with Lock() as lock:
        lock.take(sys.argv[1])
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_second_process_is_told_who_has_the_folder_and_a_killed_one_has_it_no_more(run, text):
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(run)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        before = {path.name: path.read_bytes() for path in run.iterdir()}
        code, _, err = call("pretrain", "--resume", run, "--steps", "9")
        assert code == 2
        assert len(err.strip().splitlines()) == 1
        assert f"'{run}' is in use by process {holder.pid} on {os.uname().nodename}, since 20" in err
        assert "wait until that has ended, or end it with Ctrl-C there, or choose another folder" in err
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before
        assert call("info", run)[0] == 0, "reading needs no lock"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert (run / LOCK_NAME).exists(), "the file is left, the lock is not"
    assert call("pretrain", "--resume", run)[0] == 0
    assert not (run / LOCK_NAME).exists()


def test_a_second_new_run_of_the_same_name_ends_at_once(tmp_path, text):
    with Lock() as held:
        held.take(tmp_path / ".run.tmp")
        code, out, err = call("pretrain", *TINY, "--corpus", text, "--out", tmp_path / "run")
        assert (code, out) == (2, ""), "before it reads the corpus"
        assert f"'{tmp_path / 'run'}' is in use by process {os.getpid()}" in err
    pretrain(tmp_path / "run", text)


def test_a_new_run_without_a_name_takes_the_next_number(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    with Lock() as held:
        held.take(Path("runs", ".debug-1.tmp"))
        assert call("pretrain", *TINY, "--corpus", text, "--steps", "1")[0] == 0
    assert sorted(os.listdir("runs")) == [".debug-1.tmp", "debug-2"]


def test_a_lock_stays_with_its_folder(tmp_path, monkeypatch):
    """Through renaming, also where what is open cannot be renamed; and a file that was removed is no lock."""
    for renames in (True, False):
        monkeypatch.setattr(lock, "_RENAMES_WHAT_IS_OPEN", renames)
        with Lock() as first, Lock() as second:
            first.take(tmp_path / "old")
            first.rename(tmp_path / f"new {renames}")
            with pytest.raises(BlockingIOError, match="is in use by process"):
                second.take(tmp_path / f"new {renames}")
            second.take(tmp_path / "old")
        assert os.listdir(tmp_path / f"new {renames}") == []
        (tmp_path / "old").rmdir()


def test_a_file_system_without_locks_locks_nobody_out(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with Lock() as one, Lock() as other:
        one.take(tmp_path)
        other.take(tmp_path)


def test_a_second_fine_tuning_into_the_same_folder_ends_before_it_trains(tmp_path):
    rows = (f"a {('dog', 'saw')[i % 2]} number {i},{('animal', 'tool')[i % 2]}\n" for i in range(40))
    (tmp_path / "table.csv").write_text("text,kind\n" + "".join(rows))
    command = ["finetune", "classify", "--data", tmp_path / "table.csv", "--text-column", "text", "--from", BERT]
    command += ["--label-column", "kind", "--epochs", "1", "--batch-size", "32", "--max-seq-len", "8"]
    with Lock() as held:
        held.take(tmp_path / ".model.tmp")
        code, out, err = call(*command, "--out", tmp_path / "model")
        assert (code, "step 1/" in out) == (2, False)
        assert f"'{tmp_path / 'model'}' is in use by process {os.getpid()}" in err
    assert call(*command, "--out", tmp_path / "model")[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["model", "table.csv"]
    assert LOCK_NAME not in os.listdir(tmp_path / "model")


def test_windows_locks_one_byte_beyond_the_content(tmp_path, monkeypatch):
    """By a stand-in for its module: how it is called, not how Windows behaves."""
    calls = []

    class msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor, mode, n_bytes):
            calls.append((os.lseek(descriptor, 0, os.SEEK_CUR), mode, n_bytes))
            if len(calls) > 1:
                raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr("os.name", "nt")
    held = [lock._try_to_lock(descriptor), lock._try_to_lock(descriptor)]
    monkeypatch.undo()
    os.close(descriptor)
    assert held == [True, False]
    assert calls == [(1 << 30, 2, 1)] * 2
