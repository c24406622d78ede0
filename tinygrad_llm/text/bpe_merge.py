"""Applying merges to words, and the tables that takes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from .bpe_merge_kernels import EMPTY, encode_kernel, fill_kernel
from .split import utf8_pieces, word_ends

MergeTable = dict[tuple[int, int], tuple[int, int]]  # (left id, right id) → (rank, merged id)


def merge_word_ref(ids: list[int], table: MergeTable) -> list[int]:
    """Merge neighbours: the merge learned first goes first, and where it applies twice, on the left first."""
    ids = list(ids)
    while possible := [(table[pair], left) for left, pair in enumerate(pairwise(ids)) if pair in table]:
        (_, merged), left = min(possible)
        ids[left : left + 2] = [merged]
    return ids


class WordMerger:
    """Encodes text word by word: the merges in the form the kernel takes."""

    def __init__(self, byte_ids: Sequence[int], table: MergeTable, split_digits: bool = False) -> None:
        """`byte_ids`: the ids of the 256 bytes, −1 for one that has none; `split_digits` as in split.py."""
        self.split_digits = split_digits
        self.byte_ids = np.array(byte_ids, dtype=np.int64)
        n_slots = 1 << (4 * len(table)).bit_length()
        self.keys, self.values = np.full(n_slots, EMPTY, dtype=np.int64), np.empty(n_slots, dtype=np.int64)
        rows = [(*pair, *merge) for pair, merge in table.items()]
        fill_kernel(self.keys, self.values, np.array(rows, dtype=np.int64).reshape(-1, 4))

    def encode(self, text: str) -> list[np.ndarray]:
        """The ids of `text`, as uint32 arrays (n_ids,), one for each piece of it."""
        return [self._encode_piece(piece) for piece in utf8_pieces(text)]

    def _encode_piece(self, piece: np.ndarray) -> np.ndarray:
        ends = word_ends(piece, self.split_digits)
        longest = int(np.diff(ends, prepend=0).max())
        row, merges = np.empty(longest + 2, dtype=np.int64), np.empty(4 * (longest + 1), dtype=np.int64)
        ids, n_ids = np.empty(len(piece), dtype=np.uint32), np.zeros(1, dtype=np.int64)
        encode_kernel(ids, n_ids, piece, ends, self.byte_ids, self.keys, self.values, row, merges)
        return ids[: n_ids[0]]


def ordinary_ids(tokens: Sequence[bytes], special_tokens: Mapping[str, int]) -> dict[bytes, int]:
    """The id of each token that is not special. Raises ValueError where the vocabulary is not a sound one."""
    special = {name.encode("utf-8"): token_id for name, token_id in special_tokens.items()}
    for name, token_id in special.items():
        if not name or not 0 <= token_id < len(tokens) or tokens[token_id] != name:
            raise ValueError(f"the special token {_show(name)} does not stand at its id {token_id}")
    ids: dict[bytes, int] = {}
    for token_id, token in enumerate(tokens):
        if special.get(token) == token_id:
            continue
        if token in special:
            raise ValueError(f"the special token {_show(token)} is an ordinary token too: give it another name")
        if not token or token in ids:
            raise ValueError(f"the token {_show(token)} at id {token_id} is empty or stands there a second time")
        ids[token] = token_id
    missing = [byte for byte in b"\t\n\r" + bytes(range(0x20, 0x7F)) if bytes([byte]) not in ids]
    if missing:
        raise ValueError(
            f"the vocabulary lacks {len(missing)} of the bytes of plain ASCII text, the first is 0x{missing[0]:02x}, "
            "so it cannot write every text: in Hugging Face tokenizers, train it with initial_alphabet"
        )
    return ids


def merge_table(tokens: Sequence[bytes], merges: Sequence[tuple[int, int]], ids: Mapping[bytes, int]) -> MergeTable:
    """For each pair its rank and merged id. Raises ValueError if a merge is impossible or repeated."""
    table: MergeTable = {}
    for rank, (left, right) in enumerate(merges):
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            raise ValueError(f"merge {rank} names the ids {left} and {right}, but the last id is {len(tokens) - 1}")
        merged = ids.get(tokens[left] + tokens[right])
        if merged is None:
            raise ValueError(
                f"merge {rank} makes {_show(tokens[left] + tokens[right])}, which is not in the vocabulary"
            )
        if (left, right) in table:
            raise ValueError(f"merge {rank}, {_show(tokens[left])} + {_show(tokens[right])}, comes twice")
        table[left, right] = rank, merged
    return table


def _show(token: bytes) -> str:
    return repr(token.decode("utf-8", errors="backslashreplace"))
