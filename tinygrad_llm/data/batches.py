"""Batches: windows of a token array, the input `x` and the target `y`, which is `x` one token later.

Both walk over any one-dimensional integer array; with a memory map only the windows themselves are read
from disk.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np


class RandomBatches:
    """An endless iterator of training batches: windows at uniformly random places (nanoGPT's `get_batch`).

        batches = RandomBatches(open_tokens("train.tokens"), batch_size=12, seq_len=64, seed=0)
        x, y = next(batches)            # (12, 64) and (12, 64), int64; y[:, :-1] == x[:, 1:]

    The same seed gives the same batches. `state_dict()` taken now and given to `load_state_dict` later
    makes the iterator go on exactly here.
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, seq_len: int, seed: int = 0) -> None:
        _check(tokens, batch_size, seq_len)
        if len(tokens) < seq_len + 1:
            raise ValueError(
                f"the corpus has {len(tokens):,} tokens, but one window takes {seq_len + 1:,} "
                f"(a context of {seq_len:,} and the last target): give more text or a shorter context"
            )
        self.tokens, self.batch_size, self.seq_len = tokens, batch_size, seq_len
        self._rng = np.random.default_rng(seed)
        self._window = np.arange(seq_len + 1)

    def __iter__(self) -> "RandomBatches":
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """`x` and `y`, int64 (B, T); a window may start at any place from 0 to N - T - 1."""
        starts = self._rng.integers(0, len(self.tokens) - self.seq_len, size=(self.batch_size, 1))
        windows = np.asarray(self.tokens[starts + self._window], dtype=np.int64)  # (B, T + 1)
        return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])

    def state_dict(self) -> dict:
        """The position in the random sequence, as plain numbers and strings that JSON can hold."""
        return {**self._shape(), "rng": copy.deepcopy(self._rng.bit_generator.state)}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict()` was taken.

        Raises ValueError where the corpus or the batch shape is another one, for then the batches would
        differ.
        """
        for name, value in self._shape().items():
            if state.get(name) != value:
                raise ValueError(
                    f"these batches have {name}={value}, but the saved position was taken with "
                    f"{name}={state.get(name)}: resume with the same corpus and batch shape, or start anew"
                )
        try:
            self._rng.bit_generator.state = copy.deepcopy(state["rng"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the saved position of the batches is damaged ({error!r}): start anew") from None

    def _shape(self) -> dict[str, int]:
        return {"n_tokens": len(self.tokens), "batch_size": self.batch_size, "seq_len": self.seq_len}


def sequential_batches(tokens: np.ndarray, batch_size: int, seq_len: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches for evaluation: every token but the first is a target exactly once, in order.

    Yields int64 `x` and `y` of shape (B, T); the last of them may have fewer rows, and the rest that fills
    no window follows as one row (1, R), R < T. So nothing is padded, and the mean loss over the corpus is
    the sum of each batch's mean loss times `y.size`, divided by N - 1.
    """
    _check(tokens, batch_size, seq_len)
    if len(tokens) < 2:
        raise ValueError(
            f"evaluation needs at least 2 tokens, a context and a target, got {len(tokens)}: give more text"
        )
    return _sequential_batches(tokens, batch_size, seq_len)


def _sequential_batches(tokens: np.ndarray, batch_size: int, seq_len: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    n_targets = len(tokens) - 1
    whole = n_targets - n_targets % seq_len
    for start in range(0, whole, batch_size * seq_len):
        stop = min(start + batch_size * seq_len, whole)
        yield _window(tokens, start, stop, seq_len)
    if whole < n_targets:
        yield _window(tokens, whole, n_targets, n_targets - whole)


def _window(tokens: np.ndarray, start: int, stop: int, seq_len: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.array(tokens[start:stop], dtype=np.int64)
    y = np.array(tokens[start + 1 : stop + 1], dtype=np.int64)
    return x.reshape(-1, seq_len), y.reshape(-1, seq_len)


def pad(rows: Sequence[Sequence], pad_id: int | bool = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of different lengths as one array (B, T), T the longest, filled up at the end; and (B, T), True for theirs.

    >>> pad([[5, 6, 7], [8]])[0].tolist()
    [[5, 6, 7], [8, 0, 0]]
    """
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(mask.shape, pad_id)
    padded[mask] = np.concatenate([np.asarray(row) for row in rows])
    return padded, mask


def _check(tokens: np.ndarray, batch_size: int, seq_len: int) -> None:
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"tokens must be a one-dimensional integer array, got {tokens.dtype} of shape {tokens.shape}")
    for name, value in (("batch_size", batch_size), ("seq_len", seq_len)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def shuffled_by_length(
    lengths: np.ndarray, batch_size: int, chunk_batches: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The numbers of all rows once, in random order, in batches (B,) of about the same length: little is padding.

    Within `chunk_batches` batches rows are sorted by length, and then the batches shuffled. The last batch may have
    fewer rows.
    """
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), batch_size * chunk_batches):
        chunk = order[start : start + batch_size * chunk_batches]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches = [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        yield from (batches[number] for number in rng.permutation(len(batches)))
