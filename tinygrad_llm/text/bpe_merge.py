"""Applying merges to one word, and the tables that takes."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

MergeTable = dict[tuple[int, int], tuple[int, int]]  # (left id, right id) → (rank, merged id)


def merge_word(ids: list[int], table: MergeTable) -> list[int]:
    """Merge neighbours: the merge learned first goes first, and where it applies twice, on the left first.

    To look at the whole word for each merge would take n² steps for a word of n bytes. Here a heap holds the
    merges that are possible, and a linked list the tokens that are left: n log n.
    """
    heap = [(table[pair], left) for left, pair in enumerate(pairwise(ids)) if pair in table]
    if not heap:
        return ids
    heapify(heap)
    n_ids = len(ids)
    ids = [*ids, None]  # the end, which merges with nothing
    after = list(range(1, n_ids + 1))
    before = list(range(-1, n_ids))

    while heap:
        (rank, merged), left = heappop(heap)
        right = after[left]
        if table.get((ids[left], ids[right])) != (rank, merged):
            continue  # another merge took one of the two
        ids[left], ids[right] = merged, None
        after[left] = after[right]
        before[after[right]] = left
        for start in (before[left], left):
            if start >= 0:
                candidate = table.get((ids[start], ids[after[start]]))
                if candidate is not None:
                    heappush(heap, (candidate, start))
    return [token for token in ids if token is not None]


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
    missing = [byte for byte in range(256) if bytes([byte]) not in ids]
    if missing:
        raise ValueError(
            f"the vocabulary lacks {len(missing)} of the 256 bytes, the first is 0x{missing[0]:02x}, so it "
            "cannot write every text: in Hugging Face tokenizers, train it with initial_alphabet"
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
