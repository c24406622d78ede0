"""`mpiexec -n 4 tinygrad-llm pretrain`: one rank speaks and writes, all stop together, and none is left waiting.

Rank 0 does all that is done once: it prepares the run, prints, evaluates, writes the folder. The others compute their
shares of the gradients. A mistake in the input ends all with rank 0's sentence; an error of one rank alone ends all at
once; and when a rank dies, mpiexec ends the others. Nothing is lost then but the steps since the last checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..train.distributed_ranks import Ranks, launched, threads_per_rank
from .errors import explain
from .interrupt import Interrupt

if TYPE_CHECKING:  # each command waits for what is imported here
    from ..nn import Module
    from ..train import Run, StepInfo
    from ..train.distributed import DataParallel
    from .progress import Progress

FAILED = 2
PATIENCE = 3  # seconds after an error in which the other ranks may fail alike


def quiet_other_ranks() -> None:
    """Under mpiexec, before anything else: rank 0 alone speaks, and the ranks of a machine share its cores."""
    rank, size = launched()
    if size > 1:
        os.environ.setdefault("NUMBA_NUM_THREADS", str(threads_per_rank()))
    if rank > 0:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the process ends)


def require_one_process(command: str) -> None:
    """Raises ValueError under mpiexec for a command that would do the same on every rank."""
    if command != "pretrain" and launched()[1] > 1:
        raise ValueError(f"only pretrain is made for several ranks: call {command} without mpiexec")


def join() -> Ranks | None:
    """The ranks of this run, or None without mpiexec. Raises ValueError where mpi4py is missing."""
    return Ranks() if launched()[1] > 1 else None


def require_shares(batch_size: int) -> None:
    """Raises ValueError where a batch cannot be divided evenly among the ranks."""
    size = launched()[1]
    if batch_size % size:
        raise ValueError(
            f"batch_size must be a multiple of the {size} ranks, which share each batch, not {batch_size}: choose "
            f"--batch-size {-(-batch_size // size) * size}, or another mpiexec -n"
        )


@contextmanager
def together(ranks: Ranks | None) -> Iterator[None]:
    """Around all that a rank does: it waits for the others at the end, and an error of one rank ends them all.

    Where all fail alike, rank 0 says why. Where only some do, those say it, and MPI ends the rest.
    """
    try:
        yield
    except BaseException as error:
        if ranks is not None:
            n_failed = ranks.end(True, PATIENCE)
            if n_failed is None or (n_failed < ranks.size and not ranks.is_first):
                _report(ranks.rank, error)
            if n_failed is None:
                ranks.abort(FAILED)
        raise
    if ranks is not None:
        ranks.end(False)


def _report(rank: int, error: BaseException) -> None:
    """On the standard error that the process was started with."""
    sentence = explain(error) if isinstance(error, Exception) else type(error).__name__
    text = sentence or "".join(traceback.format_exception(error))
    print(f"tinygrad-llm pretrain, rank {rank}: {text}", file=sys.__stderr__, flush=True)


def prepared_once(ranks: Ranks | None, prepare: Callable[[], Run], open_prepared: Callable[[Path], Run]) -> Run:
    """Rank 0's `prepare()`; the others open the same folder when it is done. Where it fails, all end with code 2."""
    if ranks is None:
        return prepare()
    if ranks.is_first:
        run = None
        try:
            run = prepare()
        finally:
            ranks.broadcast_text("" if run is None else str(run.folder))
        return run
    folder = ranks.broadcast_text()
    if not folder:
        raise SystemExit(FAILED)  # rank 0 says why
    return open_prepared(Path(folder))


class AgreedInterrupt(Interrupt):
    """Ctrl-C at any rank: `requested` turns True at all of them after the same step."""

    parallel: DataParallel | None = None

    @property
    def requested(self) -> bool:
        return self.parallel is not None and self.parallel.stopping

    @property
    def exit_code(self) -> int:
        return 128 + (self.signal or signal.SIGINT)


def share_training(
    ranks: Ranks | None, model: Module, seed: int, progress: Progress
) -> tuple[Interrupt, Callable | None]:
    """How the loop is interrupted, and how it computes gradients: as ever without ranks, else with all of them.

    Their processor time is added to that of `progress`.
    """
    if ranks is None:
        return Interrupt(), None
    from ..train.distributed import DataParallel

    interrupt = AgreedInterrupt()
    parallel = DataParallel(model, ranks, seed=seed, wants_to_stop=lambda: interrupt.signal is not None)
    interrupt.parallel = parallel
    ranks.barrier()  # all have read the checkpoint and the settings; now rank 0 may write new ones

    def gradients(*arguments) -> tuple[float, int]:
        result = parallel.gradients(*arguments)
        progress.cpu_seconds += parallel.others_cpu_seconds
        return result

    return interrupt, gradients


def follow(ranks: Ranks, steps: Iterator[StepInfo], interrupt: Interrupt) -> int:
    """All that ranks other than 0 do: compute. Returns the exit code."""
    ranks.barrier()  # until rank 0 has compiled the kernels
    with interrupt:
        for _ in steps:
            if interrupt.requested:
                return interrupt.exit_code
    return 0
