"""A large set of texts of which only 64 bits each are kept: enough to say whether a text came before.

Among n different texts some pair has the same 64 bits with probability n² / 2⁶⁵: 3 in a million for ten million texts.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from ..kernel import kernel

EMPTY = 0  # a free slot; a text that happens to have this fingerprint is never found again


def fingerprints_of(texts: Iterable[str]) -> np.ndarray:
    """int64 (N,), the first 8 bytes of BLAKE2b."""
    digests = (hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="<i8")


def contains_ref(values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Which of `values` (N,) are among the members: bool (N,)."""
    return np.isin(values, members) & (values != EMPTY)


class FingerprintSet:
    """16 to 32 bytes for each member, in a hash table that is never more than half full.

    >>> seen = FingerprintSet()
    >>> seen.add(fingerprints_of(["a", "b"]))
    >>> seen.contains(fingerprints_of(["b", "c"])).tolist()
    [True, False]
    """

    def __init__(self) -> None:
        self._slots = np.full(1 << 8, EMPTY, dtype=np.int64)
        self._n_members = 0

    def contains(self, values: np.ndarray) -> np.ndarray:
        """Whether each of `values` int64 (N,) is a member: bool (N,)."""
        found = np.empty(len(values), dtype=np.bool_)
        contains_kernel(found, values, self._slots)
        return found

    def add(self, values: np.ndarray) -> None:
        """Make all of `values` int64 (N,) members."""
        while 2 * (self._n_members + len(values)) > len(self._slots):
            members = self._slots[self._slots != EMPTY]
            self._slots = np.full(2 * len(self._slots), EMPTY, dtype=np.int64)
            add_kernel(self._slots, members)
        self._n_members += add_kernel(self._slots, values)


@kernel
def contains_kernel(found, values, slots):
    for i in range(len(values)):
        found[i] = values[i] != EMPTY and slots[slot_of(slots, values[i])] == values[i]


@kernel
def add_kernel(slots, values):
    """Returns how many are new."""
    n_new = 0
    for i in range(len(values)):
        slot = slot_of(slots, values[i])
        n_new += slots[slot] != values[i]
        slots[slot] = values[i]
    return n_new


@kernel
def slot_of(slots, value):
    """Where this value stands, or else the free slot that it would get. A hash needs no further hashing."""
    slot = value & (len(slots) - 1)
    while slots[slot] != value and slots[slot] != EMPTY:
        slot = (slot + 1) & (len(slots) - 1)
    return slot
