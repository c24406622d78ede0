"""Which texts stay together when a table is split: equal ones, near-duplicates, and those of one group.

"Stays together with" passes on: a with b and b with c means a with c. The blocks that come of it are kept as a forest
(union-find, Galler and Fischer 1964): each text points to a parent, and the root of a block to itself.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from ..kernel import kernel
from .near_duplicates import N_BANDS, N_HASHES, ROWS_PER_BAND, NearDuplicates, agreements


class Blocks:
    """The numbers 0 to n - 1, each alone at first.

    >>> blocks = Blocks(4)
    >>> blocks.join_equal(["a", "b", "a", "c"])
    >>> blocks.members()
    [[0, 2], [1], [3]]
    """

    def __init__(self, n: int) -> None:
        self._parents = np.arange(n)

    def join_equal(self, keys: Sequence[Hashable]) -> None:
        """Join all that have equal keys."""
        first: dict[Hashable, int] = {}
        for index, key in enumerate(keys):
            join_kernel(self._parents, first.setdefault(key, index), index)

    def join_similar(self, texts: Sequence[str], threshold: float) -> None:
        """Join the texts whose estimated Jaccard similarity is at least `threshold`; see `NearDuplicates`."""
        self.join_equal(texts)
        places = {text: index for index, text in enumerate(texts)}  # one place of each text will do
        members = np.array(list(places.values()), dtype=np.int64)
        near = NearDuplicates(threshold)
        signatures = np.array([near.signature(text) for text in places]).reshape(-1, N_HASHES)  # (N, 128)
        for band in range(N_BANDS):
            start = band * ROWS_PER_BAND
            order = np.lexsort(signatures[:, start : start + ROWS_PER_BAND].T)  # texts that agree stand side by side
            join_similar_kernel(self._parents, signatures[order], members[order], start, float(threshold * N_HASHES))

    def members(self) -> list[list[int]]:
        """The numbers of each block, in order."""
        blocks: dict[int, list[int]] = {}
        for index in range(len(self._parents)):
            blocks.setdefault(find_kernel(self._parents, index), []).append(index)
        return list(blocks.values())


def join_similar_ref(signatures: np.ndarray, threshold: float) -> list[list[int]]:
    """The blocks of `Blocks.join_similar` for signatures (N, 128), with every pair compared."""
    blocks: list[list[int]] = []
    for index, signature in enumerate(signatures):
        similar = [block for block in blocks if ((signatures[block] == signature).mean(axis=1) >= threshold).any()]
        joined = sorted([index, *(each for block in similar for each in block)])
        blocks = [block for block in blocks if block not in similar] + [joined]
    return sorted(blocks)


@kernel
def join_similar_kernel(parents, signatures, members, start, n_needed):
    """Join pairs that agree in the band from `start` on and in `n_needed` minima. Equal bands stand side by side."""
    for i in range(len(signatures)):
        for j in range(i + 1, len(signatures)):
            if agreements(signatures[i], signatures[j], start, start + ROWS_PER_BAND) < ROWS_PER_BAND:
                break
            if agreements(signatures[i], signatures[j], 0, N_HASHES) >= n_needed:
                join_kernel(parents, members[i], members[j])


@kernel
def join_kernel(parents, one, other):
    parents[find_kernel(parents, other)] = find_kernel(parents, one)


@kernel
def find_kernel(parents, index):
    """The root of the block; every second step on the way there is cut short."""
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
