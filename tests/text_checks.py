"""What the tests of several tokenizers share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_llm.text.bpe_merge_kernels import EMPTY
from tinygrad_llm.text.bpe_train_kernels import NONE


def set_at(*keys_and_value) -> Callable[[dict], None]:
    """A change of a file's content: the value at these keys."""
    *keys, last, value = keys_and_value

    def change(data):
        for key in keys:
            data = data[key]
        data[last] = value

    return change


def tight_tables(most_pairs: int, sizes: list[int]) -> Callable:
    """`empty_tables` with room for the pairs asked for, at first about as many as there are, and for those of one
    merge; the size of each is noted in `sizes`."""

    def empty_tables(n_pairs, n_tokens):
        sizes.append(1 << (2 * (min(n_pairs, most_pairs) + 2 * n_tokens)).bit_length())
        keys, pairs = np.full(sizes[-1], EMPTY, dtype=np.int64), np.full((sizes[-1], 3), NONE, dtype=np.int64)
        return keys, pairs, np.empty((sizes[-1], 2), dtype=np.int64)

    return empty_tables
