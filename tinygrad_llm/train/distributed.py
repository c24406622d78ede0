"""Data parallel training: every rank has the whole model and computes the gradient of its share of each batch.

    mpiexec -n 4 tinygrad-llm pretrain        each of four ranks takes a quarter of the rows of a batch

The gradient of a mean over rows is the mean of the gradients, so the sum over ranks of share · gradient is the gradient
of the whole batch: up to rounding a run on n ranks is the run on one. All begin with the weights of rank 0 and take the
same step from the same gradient, so that the weights stay the same, and only gradients travel.

They travel while the backward pass goes on (Li et al., "PyTorch Distributed", 2020, section 3.2.3). It ends with the
first layers, so the gradients of the last ones are complete long before. As they come they are packed into buckets,
and each bucket sets off when it is full: few messages, for each one costs time, but not so few that all is sent last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..data.masking import IGNORED
from ..nn import Module
from .checkpoint import random_generators
from .distributed_ranks import Ranks
from .loop import diverged

BUCKET_BYTES = 1 << 20


class Bucket:
    """The gradients of some parameters of one dtype, one after the other in one array."""

    def __init__(self, parameters: list[Tensor]):
        self.parameters = parameters
        sizes = [parameter.data.size for parameter in parameters]
        self.buffer = np.zeros(sum(sizes), parameters[0].dtype)
        pieces = np.split(self.buffer, np.cumsum(sizes)[:-1])
        self.places = {id(p): piece.reshape(p.shape) for p, piece in zip(parameters, pieces, strict=True)}
        self.empty()

    def empty(self) -> None:
        self.filled: list[Tensor] = []
        self.request = None  # the sum over ranks, once it has begun

    @property
    def is_full(self) -> bool:
        return len(self.filled) == len(self.parameters)

    def put(self, parameter: Tensor) -> None:
        self.places[id(parameter)][...] = parameter.grad.data
        self.filled.append(parameter)

    def start(self, ranks: Ranks) -> None:
        filled = {id(parameter) for parameter in self.filled}
        for parameter in self.parameters:
            if id(parameter) not in filled:  # the loss did not depend on it
                self.places[id(parameter)][...] = 0
        self.request = ranks.start_sum(self.buffer)

    def give_back(self) -> None:
        """The sums become the parameters' gradients, without a copy: they share the buffer until the next step."""
        for parameter in self.filled:
            parameter.zero_grad_()
            parameter.accumulate_grad(self.places[id(parameter)], owned=True)
        self.empty()


def pack(parameters: list[Tensor], bucket_bytes: int) -> list[Bucket]:
    """Buckets of at most `bucket_bytes`, in the order of the parameters; a larger parameter has one of its own."""
    lists: list[list[Tensor]] = []
    for parameter in parameters:
        last = lists[-1] if lists else []
        n_bytes = sum(each.data.nbytes for each in last) + parameter.data.nbytes
        if not last or n_bytes > bucket_bytes or last[0].dtype != parameter.dtype:
            lists.append([])
        lists[-1].append(parameter)
    return [Bucket(each) for each in lists]


def share_of(batch: tuple[np.ndarray, ...], rank: int, size: int) -> tuple[tuple[np.ndarray, ...], float]:
    """A rank's rows of a batch, and the part of the batch's targets that they hold; batch[-1] are the targets.

    The parts of all ranks add up to 1. Where rows have no target, or there are fewer rows than ranks, a rank may get
    nothing: it takes a row of another one, which counts as 0, so that all ranks do the same work.
    """
    n_rows, counted = len(batch[-1]), batch[-1] != IGNORED
    rows = slice(n_rows * rank // size, n_rows * (rank + 1) // size)
    part = counted[rows].sum() / max(counted.sum(), 1)
    if part == 0:
        rows = np.flatnonzero(counted.reshape(n_rows, -1).any(axis=1))[:1]
    return tuple(array[rows] for array in batch), float(part)


class DataParallel:
    """Computes a step's gradients together with the other ranks: `train_steps(..., gradients=parallel.gradients)`.

    `seed` and the step decide what a rank other than 0 draws for dropout, so that a resumed run draws the same.
    `wants_to_stop()` is asked in each step; once any rank says yes, `stopping` is True at all, after the same step.
    `close()` takes the hooks off the model.
    """

    def __init__(
        self,
        model: Module,
        ranks: Ranks,
        *,
        seed: int = 0,
        bucket_bytes: int = BUCKET_BYTES,
        wants_to_stop: Callable[[], bool] = lambda: False,
    ):
        self.ranks, self.seed, self.bucket_bytes, self.wants_to_stop = ranks, seed, bucket_bytes, wants_to_stop
        self.stopping = False
        self.others_cpu_seconds = 0.0  # processor time of the other ranks, of the last step
        self._cpu_before = time.process_time()
        self.exposed_seconds = 0.0  # spent in waiting for sums after the last backward pass: what was not hidden
        for parameter in model.parameters():
            ranks.broadcast(parameter.data)
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._pack(learned[::-1])  # the backward pass ends with the first layers; the first pass shows its order
        self._order: list[Tensor] = []  # of this pass
        self._sending = False
        self._handles = [p.register_post_accumulate_grad_hook(self._complete) for p in learned]

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def gradients(
        self,
        model: Module,
        batches: Iterator[tuple],
        loss_fn: Callable[[Module, Any], Tensor],
        accumulate: int,
        step: int,
    ) -> tuple[float, int]:
        """Mean loss and number of tokens of the next `accumulate` batches of all ranks; the gradients are in place.

        Raises FloatingPointError at all ranks where the loss is not finite.
        """
        self._seed_generators(model, step)
        total, tokens = 0.0, 0
        for i in range(accumulate):
            batch = next(batches)
            own, part = share_of(batch, self.ranks.rank, self.ranks.size)
            loss = loss_fn(model, own) * (part / accumulate)
            total += loss.item()
            tokens += batch[0].size
            if i == accumulate - 1:  # earlier gradients are not complete
                self._start(total)
            loss.backward()
        total = self._finish()
        if not math.isfinite(total):  # the sum is, only if it is at all ranks: they stop alike
            raise FloatingPointError(diverged("loss", total, step))
        return total, tokens

    def _seed_generators(self, model: Module, step: int) -> None:
        """Rank 0 goes on with its own generators, as a run on one rank does; they are in the checkpoints."""
        if not self.ranks.is_first:
            for number, generator in enumerate(random_generators(model)):
                fresh = np.random.default_rng((self.seed, self.ranks.rank, step, number))
                generator.bit_generator.state = fresh.bit_generator.state

    def _start(self, loss: float) -> None:
        now = time.process_time()
        self._own_cpu_seconds, self._cpu_before = now - self._cpu_before, now
        self._report = np.array([loss, self.wants_to_stop(), self._own_cpu_seconds], np.float64)
        self._request = self.ranks.start_sum(self._report)
        self._order, self._n_started, self._sending = [], 0, True

    def _complete(self, parameter: Tensor) -> None:
        """The hook: called by the backward pass when this gradient is complete."""
        if not self._sending:
            return
        self._order.append(parameter)
        self._bucket_of[id(parameter)].put(parameter)
        # In the order of the buckets, not in that of their filling: all ranks must begin the same sums.
        while self._n_started < len(self._buckets) and self._buckets[self._n_started].is_full:
            self._start_next()
        for bucket in self._buckets[: self._n_started]:
            bucket.request.Test()  # MPI moves data only when it is called

    def _start_next(self) -> None:
        self._buckets[self._n_started].start(self.ranks)
        self._n_started += 1

    def _finish(self) -> float:
        """Send what is left, wait for all sums, and put them in place; returns the loss over all ranks."""
        began = time.perf_counter()
        while self._n_started < len(self._buckets):
            self._start_next()
        self.ranks.wait(self._request)
        for bucket in self._buckets:
            self.ranks.wait(bucket.request)
            bucket.give_back()
        self._sending = False
        loss, votes, cpu_seconds = self._report
        self.stopping = self.stopping or votes > 0
        self.others_cpu_seconds = float(cpu_seconds) - self._own_cpu_seconds
        self.exposed_seconds += time.perf_counter() - began
        self._repack()
        return float(loss)

    def _repack(self) -> None:
        """In the order in which the pass has just completed them; what it did not use comes last."""
        used = {id(parameter) for parameter in self._order}
        order = self._order + [p for bucket in self._buckets for p in bucket.parameters if id(p) not in used]
        if [id(p) for p in order] != [id(p) for bucket in self._buckets for p in bucket.parameters]:
            self._pack(order)

    def _pack(self, parameters: list[Tensor]) -> None:
        self._buckets = pack(parameters, self.bucket_bytes)
        self._bucket_of = {id(p): bucket for bucket in self._buckets for p in bucket.parameters}
