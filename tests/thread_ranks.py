"""Ranks that are threads of one process, for tests of data parallel training without MPI."""

import threading
import time


class Exchange:
    """Where threads leave what they add up. `log` notes when sums begin and hooks run at rank 0."""

    def __init__(self, size):
        self.size, self.lock, self.posts, self.log = size, threading.Lock(), {}, []
        self.failed = threading.Event()

    def nap(self):
        time.sleep(1e-4)
        assert not self.failed.is_set(), "another rank has failed"


class Sum:
    def __init__(self, exchange, number, rank, array):
        self.exchange, self.number, self.array, self.done = exchange, number, array, False
        with exchange.lock:
            exchange.posts.setdefault(number, {})[rank] = array.copy()

    def Test(self):
        posts = self.exchange.posts[self.number]
        if not self.done and len(posts) == self.exchange.size:
            self.array[...] = sum(posts[rank] for rank in sorted(posts))
            self.done = True
        return self.done


class ThreadRanks:
    def __init__(self, rank, exchange):
        self.rank, self.size, self.exchange, self.n_sums = rank, exchange.size, exchange, 0
        self.is_first = rank == 0

    def start_sum(self, array):
        self.n_sums += 1
        if self.is_first:
            self.exchange.log.append(("sum", array.size))
        return Sum(self.exchange, self.n_sums, self.rank, array)

    def wait(self, request):
        while not request.Test():
            self.exchange.nap()

    def broadcast(self, array):
        key = f"broadcast {self.n_sums}"
        self.n_sums += 1
        if self.is_first:
            self.exchange.posts[key] = array.copy()
        while key not in self.exchange.posts:
            self.exchange.nap()
        array[...] = self.exchange.posts[key]


def on_ranks(size, function):
    """`function(ranks)` in a thread for each rank; their results in order, and the exchange."""
    exchange, results, errors = Exchange(size), [None] * size, []

    def call(rank):
        try:
            results[rank] = function(ThreadRanks(rank, exchange))
        except BaseException as error:
            errors.append(error)
            exchange.failed.set()

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results, exchange
