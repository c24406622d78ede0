"""Ranks: several processes that run the same program and talk by messages (MPI), on one machine or on many.

    mpiexec -n 4 tinygrad-llm pretrain

starts four; each knows its number, its rank, and how many there are. What they say to each other is here: a sum over
all ranks, a broadcast from rank 0 to the others, a barrier that none passes before all have come. Without mpiexec
nothing of this is used, and mpi4py is not imported.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

# What mpiexec tells the processes that it starts: MPICH, Intel MPI and Slurm's PMI; Open MPI.
_RANK, _SIZE = ("PMI_RANK", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
_LOCAL_SIZE = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE")
PATIENCE = 0.05  # seconds in which a rank that waits asks again and again, which moves data; then it sleeps in between
NAP = 0.0002


def launched() -> tuple[int, int]:
    """(rank, number of ranks) as mpiexec has put them into the environment; (0, 1) without mpiexec."""
    return _from_environment(_RANK, 0), _from_environment(_SIZE, 1)


def threads_per_rank() -> int:
    """The cores that this process may use, divided among the ranks on this machine; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores // _from_environment(_LOCAL_SIZE, 1), 1)


def _from_environment(names: tuple[str, ...], default: int) -> int:
    found = (os.environ[name] for name in names if os.environ.get(name, "").isdecimal())
    return int(next(found, default))


class Ranks:
    """All ranks of this run, seen from one of them. Sums, the rest, and the end travel apart: nothing is mixed up.

    Raises ValueError where mpi4py is missing, or belongs to another MPI than the mpiexec that started the ranks.
    """

    def __init__(self):
        MPI = _import_mpi()
        world, started = MPI.COMM_WORLD, launched()[1]
        if world.size != started:
            raise ValueError(
                f"mpiexec started {started} processes, but mpi4py sees {world.size}: it belongs to another MPI, "
                f"{MPI.Get_library_version().splitlines()[0].strip()}, so use that one's mpiexec"
            )
        self.rank, self.size = world.rank, world.size
        self._in_place = MPI.IN_PLACE
        self._sums, self._rest, self._end = world.Dup(), world.Dup(), world.Dup()

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def start_sum(self, array: np.ndarray) -> Any:
        """Begin to add up `array`, contiguous, over all ranks, in place; `wait` for what is returned before using it.

        All ranks must begin the same sums in the same order.
        """
        return self._sums.Iallreduce(self._in_place, array)

    def wait(self, request: Any, seconds: float = float("inf")) -> bool:
        """Until it is done, or so many seconds; whether it is done. MPI's own waiting would keep a core busy."""
        began = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - began
            if waited > seconds:
                return False
            time.sleep(0 if waited < PATIENCE else NAP)
        return True

    def broadcast(self, array: np.ndarray) -> None:
        """Overwrite `array`, contiguous, with that of rank 0."""
        self.wait(self._rest.Ibcast(array))

    def broadcast_text(self, text: str = "") -> str:
        """The text that rank 0 gave."""
        data = np.frombuffer(text.encode(), np.uint8).copy()
        length = np.array([len(data)])
        self.broadcast(length)
        if not self.is_first:
            data = np.empty(int(length[0]), np.uint8)
        self.broadcast(data)
        return data.tobytes().decode()

    def barrier(self) -> None:
        """Until all ranks have come here."""
        self.wait(self._rest.Ibarrier())

    def end(self, failed: bool, seconds: float = float("inf")) -> int | None:
        """How many ranks have failed, when all have come to their end; None if some do not in so many seconds."""
        n_failed = np.array([float(failed)])
        came = self.wait(self._end.Iallreduce(self._in_place, n_failed), seconds)
        return int(n_failed[0]) if came else None

    def abort(self, code: int) -> None:
        """End all ranks, this one included, at once."""
        self._rest.Abort(code)


def _import_mpi():
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # the second where mpi4py finds no MPI
        raise ValueError(
            'several ranks need mpi4py and an MPI: pip install "tinygrad_llm[mpi]", or leave out mpiexec'
        ) from None
    return MPI
