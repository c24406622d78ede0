"""Data parallel training by real ranks, started by mpiexec on this machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call, read_log

from tinygrad_llm.train import load_checkpoint

pytest.importorskip("mpi4py")
pytestmark = pytest.mark.stress

ROOT = Path(__file__).parent.parent
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
COMMAND = [sys.executable, "-m", "tinygrad_llm.cli"]
ENVIRONMENT = os.environ | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
DEBUG = ["pretrain", "--preset", "debug", "--batch-size", "4"]


def start(n_ranks, *arguments, program=COMMAND, **environment):
    words = [MPIEXEC, "-n", n_ranks, *program, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, words)), env=ENVIRONMENT | environment, start_new_session=True, **pipes)


def end_of(process, timeout=60):
    """Exit code, output and errors. What does not end is killed, with all its ranks, and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"the ranks hang: {process.communicate()}")
    return process.returncode, out, err


def run(n_ranks, *arguments, **settings):
    return end_of(start(n_ranks, *arguments, **settings))


# Gradients and losses


@pytest.fixture(scope="module", params=[2, 4])
def found(request, tmp_path_factory):
    worker = [sys.executable, ROOT / "tests" / "mpi_worker.py"]
    code, out, err = run(request.param, tmp_path_factory.mktemp("worker"), program=worker)
    assert code == 0, err
    return json.loads(out)


def test_gradients_equal_those_of_the_whole_batch(found):
    compared = {name: case for name, case in found.items() if isinstance(case, dict) and "difference" in case}
    assert len(compared) == 10
    for name, case in compared.items():
        limit = {"gpt float32": 1e-6, "12 steps": 1e-3}.get(name, 1e-11)  # after 12 steps the weights differ as well
        assert case["difference"] < limit, name


def test_losses_are_those_of_one_process(found):
    for name, case in found.items():
        if isinstance(case, dict) and "losses" in case:
            alone, shared = case["losses"]
            np.testing.assert_allclose(shared, alone, rtol=1e-5 if name == "12 steps" else 1e-6, err_msg=name)
    assert len(found["12 steps"]["losses"][0]) == 12


def test_buckets_from_one_per_parameter_to_one(found):
    assert found["smallest buckets"]["n_buckets"] == found["n_parameters"]
    assert found["one bucket"]["n_buckets"] == 1


def test_a_resumed_run_with_dropout_is_the_uninterrupted_one(found):
    assert found["dropout resumed"]["equal"]


def test_weights_stay_the_same_at_all_ranks(found):
    assert found["weights"]["different"] == 0
    assert 0 < found["weights"]["others_cpu_seconds"] < 5


# The command


def losses_of(folder):
    return [line["loss"] for line in read_log(folder)]


def test_ranks_write_the_run_of_one_process_once_and_other_numbers_of_ranks_resume_it(tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for arguments in ([*DEBUG, "--steps", 8, "--out", alone], ["pretrain", "--resume", alone, "--steps", 12]):
        code, _, err = call(*arguments)
        assert code == 0, err
    code, out, err = run(2, *DEBUG, "--steps", 8, "--out", shared)
    assert (code, err) == (0, "")
    assert out.count("parameters, steps 1 to 8") == out.count("step 5: validation") == out.count("go on with:") == 1
    code, _, err = run(4, "pretrain", "--resume", shared, "--steps", 12)
    assert (code, err) == (0, "")
    assert [line["step"] for line in read_log(shared)] == list(range(1, 13))
    np.testing.assert_allclose(losses_of(shared), losses_of(alone), rtol=1e-5)
    names = [{path.name for path in folder.iterdir()} for folder in (tmp_path, alone, shared)]
    assert names[0] == {"alone", "shared"}
    assert names[1] == names[2]


@pytest.mark.parametrize(
    ("n_ranks", "arguments", "sentence"),
    [
        (3, [*DEBUG], "batch_size must be a multiple of the 3 ranks, which share each batch, not 4: choose"),
        (2, [*DEBUG, "--stepz", "3"], "there is no option --stepz"),
        (2, ["pretrain", "--resume", "nothing"], "'nothing' holds no run"),
        (2, [*DEBUG, "--corpus", "nofile"], "there is no file or folder 'nofile'"),
        (2, ["info"], "only pretrain is made for several ranks: call info without mpiexec"),
    ],
)  # fmt: skip
def test_a_mistake_ends_all_ranks_with_one_sentence(n_ranks, arguments, sentence, tmp_path):
    code, _, err = run(n_ranks, *arguments, *(["--out", tmp_path / "run"] if arguments[:2] == DEBUG[:2] else []))
    assert code == 2
    assert err.startswith("tinygrad-llm")
    assert err.count(sentence) == err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def started_run(folder, n_ranks):
    """A long run, some checkpoints in, and the process number of each rank."""
    options = ["--steps", 100000, "--checkpoint-every", 10, "--evaluate-every", 0, "--log-every", 5, "--out", folder]
    process = start(n_ranks, *DEBUG, *options)
    deadline = time.monotonic() + 40
    while len(read_log(folder) if (folder / "log.jsonl").exists() else []) < 8:
        assert time.monotonic() < deadline, end_of(process, 1)
        time.sleep(0.05)
    return process, ranks_below(process.pid)


def ranks_below(pid):
    """Process numbers by rank, of the processes that mpiexec `pid` has started."""
    found = {}
    parents = {int(path.parent.name): int(re.search(r"PPid:\t(\d+)", read(path))[1]) for path in status_files()}
    for child in parents:
        ancestor = child
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor]
        rank = re.search(r"(?:^|\0)PMI_RANK=(\d+)", read(Path(f"/proc/{child}/environ")))
        if ancestor == pid and rank:
            found[int(rank[1])] = child
    return found


def status_files():
    return [path for path in Path("/proc").glob("[0-9]*/status") if "PPid:" in read(path)]


def read(path):
    try:
        return path.read_text()
    except OSError:  # it has ended, or is another user's
        return ""


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def resumed_alone(folder):
    """One process goes on from the last checkpoint, for a few steps."""
    step = load_checkpoint(folder / "last.safetensors").step
    code, _, err = call("pretrain", "--resume", folder, "--steps", step + 3)
    assert code == 0, err
    steps = [line["step"] for line in read_log(folder)]
    assert steps == sorted(set(steps))
    assert steps[-1] == step + 3
    return step


@needs_proc
@pytest.mark.parametrize(("n_ranks", "victim"), [(2, 0), (4, 2)])
def test_the_death_of_a_rank_ends_the_run_and_the_last_checkpoint_is_good(n_ranks, victim, tmp_path):
    folder = tmp_path / "run"
    process, ranks = started_run(folder, n_ranks)
    os.kill(ranks[victim], signal.SIGKILL)
    began = time.monotonic()
    code, _, _ = end_of(process, 20)
    assert code != 0
    assert time.monotonic() - began < 10
    assert all(not Path(f"/proc/{pid}").exists() for pid in ranks.values())
    assert resumed_alone(folder) % 10 == 0


@needs_proc
@pytest.mark.parametrize(("number", "rank"), [(signal.SIGTERM, 1), (signal.SIGINT, None)])
def test_a_signal_to_one_rank_or_to_mpiexec_stops_all_after_a_step_that_is_saved(number, rank, tmp_path):
    folder = tmp_path / "run"
    process, ranks = started_run(folder, 2)
    os.kill(process.pid if rank is None else ranks[rank], number)
    code, out, err = end_of(process, 20)
    assert code == 128 + number, err
    stopped = re.findall(r"stopped after step (\d+), everything is saved", out)
    assert len(stopped) == 1
    assert resumed_alone(folder) == int(stopped[0])


def test_an_error_of_one_rank_alone_ends_all_and_is_told(tmp_path):
    """Rank 1 is a program whose loop breaks; rank 0 would wait for its gradients for ever."""
    broken = (
        "import sys; from tinygrad_llm.cli import main, train\n"
        "def follow(*_): raise MemoryError('1 GB wanted')\n"
        "train.follow = follow; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [*DEBUG, "--out", str(tmp_path / "run")]
    second = [":", "-n", "1", sys.executable, "-c", broken, *arguments]
    began = time.monotonic()
    code, _, err = run(1, *arguments, *second)
    assert code != 0
    assert "rank 1: there is not enough memory (1 GB wanted)" in err
    assert time.monotonic() - began < 30
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").step == 0
