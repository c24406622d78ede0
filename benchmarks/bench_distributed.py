"""What data parallel training over MPI gives on this machine: results/distributed.json; many_machines.py reads it.

python benchmarks/bench_distributed.py [--quick] [--only step,ranks,overlap,sums,gpt2]      # needs the extra `mpi`

step      one process, one thread: a step's time by batch size, and what of it does not depend on the batch
ranks     the same batch on 1, 2 and 4 ranks of one thread: tokens per second
overlap   on 2 ranks, in turns: no sums at all, sums after the backward pass, sums during it; and how long is waited
          for them when it has ended. The same once more with MPICH's own thread for progress
sums      how long an all-reduce of so many bytes takes through shared memory
gpt2      GPT-2 small, 124 million parameters: one step of one process

Each time is the least of many, and that of one process is processor time: on a busy machine these are nearest to the
truth. Several ranks are timed by the wall: those figures need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "results" / "distributed.json"
BATCH = 16
ONE_THREAD = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
NO_OVERLAP = 1 << 40  # one bucket, which is full when the backward pass ends


class SilentRanks:
    """As `Ranks`, but nothing is sent: what a step costs beside the sums."""

    class Done:
        def Test(self) -> bool:
            return True

    def __init__(self, rank: int, size: int):
        self.rank, self.size, self.is_first = rank, size, rank == 0

    def start_sum(self, array) -> Done:
        return self.Done()

    def wait(self, request) -> None:
        pass

    def broadcast(self, array) -> None:
        pass


def parts(batch_size: int, gpt2: bool = False) -> tuple:
    """Model, batches and optimizer: of a small GPT, or of GPT-2 small with a context of 512."""
    import numpy as np

    from tinygrad_llm.data import RandomBatches
    from tinygrad_llm.models import GPT, GPTConfig
    from tinygrad_llm.train import PretrainConfig, build_model, build_optimizer

    config, V = PretrainConfig(), 2048
    if gpt2:
        V, T = 50257, 512
        sizes = {"n_layers": 12, "n_heads": 12, "d_model": 768}
        model = GPT(GPTConfig(vocab_size=V, max_seq_len=1024, **sizes), np.random.default_rng(0))
    else:
        T, model = config.max_seq_len, build_model(config, V)
    tokens = np.random.default_rng(0).integers(0, V, 100_000)
    return model, RandomBatches(tokens, batch_size, T), build_optimizer(config, model)


def step_times(model, batches, optimizer, n_steps: int, gradients: list, clock=time.perf_counter) -> list:
    """Seconds of steps, a list for each way to compute gradients; they take turns."""
    from tinygrad_llm.train import language_modelling, train_steps

    def run(each, first, last):
        how = {"start_step": first, "n_steps": last, "clip": 1.0, "gradients": each}
        began = clock()
        list(train_steps(model, batches, language_modelling, optimizer, lambda step: 1e-3, **how))
        return clock() - began

    times = [[] for _ in gradients]
    for i in range(n_steps):
        for each, found in zip(gradients, times, strict=True):
            found.append(run(each, i, i + 1))
    return [found[min(2, n_steps - 1) :] for found in times]


def fixed_seconds(model, optimizer, n_repeats: int) -> float:
    """Clipping and the optimizer: what each rank does in full."""
    from tinygrad_llm.optim import clip_grad_norm_

    found = []
    for _ in range(n_repeats):
        began = time.process_time()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(1e-3)
        found.append(time.process_time() - began)
    return min(found)


# What runs in processes of its own


def measure_step(n: int) -> dict:
    found = {}
    for batch_size in (BATCH, BATCH // 2, BATCH // 4):
        model, batches, optimizer = parts(batch_size)
        found[batch_size] = min(step_times(model, batches, optimizer, n, [None], time.process_time)[0])
    n_parameters = model.num_parameters()
    return {"seconds": found, "fixed_seconds": fixed_seconds(model, optimizer, n), "parameters": n_parameters}


def measure_gpt2(n: int) -> dict:
    model, batches, optimizer = parts(1, gpt2=True)
    seconds = min(step_times(model, batches, optimizer, max(n // 10, 2), [None], time.process_time)[0])
    fixed, n_parameters = fixed_seconds(model, optimizer, 2), model.num_parameters()
    return {"tokens": 512, "seconds": seconds, "fixed_seconds": fixed, "parameters": n_parameters}


def measure_ranks(n: int) -> dict:
    """A step by the wall; and what of it is this rank's own work, in processor time, and what waiting, at least."""
    from tinygrad_llm.train.distributed import DataParallel
    from tinygrad_llm.train.distributed_ranks import Ranks, launched

    class Watched(DataParallel):
        cpu_waiting = 0.0

        def _finish(self) -> float:
            began = time.process_time()
            result = super()._finish()
            self.cpu_waiting = time.process_time() - began
            return result

    model, batches, optimizer = parts(BATCH)
    parallel = Watched(model, Ranks()) if launched()[1] > 1 else None
    wall, work, waiting = [], [], []
    for _ in range(n):
        before, cpu, exposed = time.perf_counter(), time.process_time(), parallel and parallel.exposed_seconds
        step_times(model, batches, optimizer, 1, [parallel and parallel.gradients])
        wall.append(time.perf_counter() - before)
        work.append(time.process_time() - cpu - (parallel.cpu_waiting if parallel else 0))
        waiting.append(parallel.exposed_seconds - exposed if parallel else 0)
    return {"wall": min(wall[2:]), "work": min(work[2:]), "waiting": min(waiting[2:])}


def measure_overlap(n: int) -> dict:
    """Milliseconds; `exposed` is the wait after the backward pass, for the sums and for a rank that is behind.

    `hidden` is the part of the bytes whose sums are there when the pass ends: it does not depend on other programs.
    """
    from tinygrad_llm.train.distributed import BUCKET_BYTES, DataParallel
    from tinygrad_llm.train.distributed_ranks import Ranks

    class Watched(DataParallel):
        def _finish(self) -> float:
            done = [b.buffer.nbytes for b in self._buckets[: self._n_started] if b.request.Test()]
            self.hidden.append(sum(done) / sum(b.buffer.nbytes for b in self._buckets))
            return super()._finish()

    ranks, found = Ranks(), {}
    silent = SilentRanks(ranks.rank, ranks.size)
    for name, speaker, bucket_bytes in (
        ("none", silent, BUCKET_BYTES),
        ("after", ranks, NO_OVERLAP),
        ("during", ranks, BUCKET_BYTES),
    ):
        model, batches, optimizer = parts(BATCH // 4)
        parallel = Watched(model, speaker, bucket_bytes=bucket_bytes)
        parallel.hidden = []
        found[name] = {"way": (model, batches, optimizer, parallel), "seconds": [], "exposed": []}
    for i in range(3 * n):
        for each in found.values():
            *what, parallel = each["way"]
            before = parallel.exposed_seconds
            ranks.barrier()  # a step without sums lets a rank run ahead
            each["seconds"] += step_times(*what, 1, [parallel.gradients])[0]
            if i < 2:  # the first ones compile and make the optimizer's state
                each["seconds"].clear()
            else:
                each["exposed"].append(parallel.exposed_seconds - before)
    times = {}
    for name, each in found.items():
        hidden = each["way"][-1].hidden[2:]
        times[name] = {key: quantiles(each[key]) for key in ("seconds", "exposed")}
        times[name]["hidden"] = sum(hidden) / len(hidden)
    return times | {"buckets": len(found["during"]["way"][-1]._buckets), "bucket_bytes": BUCKET_BYTES}


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * each for each in seconds)
    return {"least": ordered[0], "quarter": ordered[len(ordered) // 4], "median": ordered[len(ordered) // 2]}


def measure_sums(n: int) -> dict:
    import numpy as np

    from tinygrad_llm.train.distributed_ranks import Ranks

    ranks, found = Ranks(), {}
    for n_bytes in (4, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 23):
        array, times = np.ones(n_bytes // 4, np.float32), []
        for _ in range(3 * n):
            ranks.barrier()
            began = time.perf_counter()
            ranks.wait(ranks.start_sum(array))
            times.append(time.perf_counter() - began)
            array[...] = 1
        found[n_bytes] = min(times)
    return {"seconds": found}


# The whole


def launch(name: str, n_steps: int, n_ranks: int = 1, **environment) -> dict:
    """A measurement in processes of its own; what rank 0 found."""
    command = [sys.executable, __file__, "--measure", name, "--steps", str(n_steps)]
    if n_ranks > 1:
        here = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        command = [shutil.which("mpiexec", path=here) or "mpiexec", "-n", str(n_ranks), *command]
    result = subprocess.run(
        command, env=os.environ | ONE_THREAD | environment, capture_output=True, text=True, timeout=1200
    )
    if result.returncode:
        raise SystemExit(f"{name} on {n_ranks} ranks: {result.stderr}")
    return json.loads(result.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps, and nothing is written")
    parser.add_argument("--only", default="step,ranks,overlap,sums,gpt2", help="these; the other figures stay")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = globals()[f"measure_{options.measure}"](options.steps)
        if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0")) == "0":
            print(json.dumps(found))
        return
    n = 5 if options.quick else 40
    results = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    for name in options.only.split(","):
        match name:
            case "step" | "gpt2":
                results[name] = launch(name, n)
            case "ranks":
                results[name] = {str(size): launch(name, n, size) for size in (1, 2, 4)}
            case "sums":
                results[name] = {str(size): launch(name, n, size)["seconds"] for size in (2, 4)}
            case "overlap":
                results[name] = launch(name, n, 2)
                results["overlap, progress thread"] = launch(name, n, 2, MPIR_CVAR_ASYNC_PROGRESS="1")
        print(name, json.dumps(results[name], indent=1), flush=True)
    if not options.quick:
        from machine import machine

        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        results["machine"] = {"load": load} | machine() | {"date": datetime.now(UTC).isoformat(timespec="minutes")}
        OUT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
