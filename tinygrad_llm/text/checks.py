"""What every tokenizer checks of its input."""

from collections.abc import Iterable

import numpy as np


def check_text(text: str) -> None:
    """Raises TypeError if `text` is no str, ValueError if a lone surrogate, which UTF-8 lacks, is in it."""
    if not isinstance(text, str):
        raise TypeError(f"the text must be a str, got {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds the lone surrogate {text[error.start]!r} at position {error.start:,}, which is "
            "half of a character: remove it, or read the file with errors='replace'"
        ) from None


def check_ids(ids: Iterable[int] | np.ndarray, vocab_size: int) -> list[int]:
    """`ids` as a list of ints. Raises TypeError if they are no row of integers, IndexError out of range."""
    array = np.asarray(ids if hasattr(ids, "__len__") else list(ids))
    if array.size == 0:
        return []
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"token ids must be a flat row of integers, got {array.dtype} of shape {array.shape}")
    if array.min() < 0 or array.max() >= vocab_size:
        wrong = array[(array < 0) | (array >= vocab_size)][0]
        raise IndexError(f"the token id {wrong} is out of range: this vocabulary has the ids 0 to {vocab_size - 1:,}")
    return array.tolist()
