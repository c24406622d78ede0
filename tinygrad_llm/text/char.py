"""One token for each character: the simplest tokenizer, and the one to look at first.

characters  "\n !abc…"     the sorted characters of a text
ids          0 1 2 3 4 …   their places in it
"""

import os
from collections.abc import Iterable

import numpy as np

from ..files import read_json, write_json
from .checks import check_ids, check_text

FORMAT = "tinygrad_llm.CharTokenizer"
N_CODE_POINTS = 0x110000
SHOWN_CHARACTERS = 10


class CharTokenizer:
    """Text to the ids of its characters and back.

        tokenizer = CharTokenizer.train("hello world")
        tokenizer.characters                      # " dehlorw"
        tokenizer.encode("hold")                  # [3, 5, 4, 1]
        tokenizer.decode([3, 5, 4, 1])            # "hold"

    Attributes: `characters`; `vocab_size`; `eos_id`, always None, as there are no special tokens.
    """

    eos_id: int | None = None

    def __init__(self, characters: str) -> None:
        """Raises ValueError if `characters` is empty or holds one twice; `train` collects them from text."""
        check_text(characters)
        if not characters or len(set(characters)) < len(characters):
            raise ValueError(f"characters must be distinct and at least one, got {characters!r:.60}")
        self.characters = characters
        self.vocab_size = len(characters)
        self._code_points = _code_points(characters)  # (V,)
        self._ids = np.full(N_CODE_POINTS, -1, dtype=np.int32)
        self._ids[self._code_points] = np.arange(self.vocab_size)
        self._dtype = np.uint16 if self.vocab_size <= 2**16 else np.uint32

    @classmethod
    def train(cls, texts: str | Iterable[str]) -> "CharTokenizer":
        """A tokenizer of the characters of one text or several, sorted by code point."""
        found: set[str] = set()
        for text in [texts] if isinstance(texts, str) else texts:
            check_text(text)
            found.update(text)
        if not found:
            raise ValueError("the text is empty, so there are no characters to make tokens of: give some text")
        return cls("".join(sorted(found)))

    def encode(self, text: str) -> list[int]:
        """The ids of the characters. Raises ValueError naming those that are not in the vocabulary."""
        return self.encode_to_numpy(text).tolist()

    def encode_to_numpy(self, text: str) -> np.ndarray:
        """`encode`, as an array `(T,)`: uint16, or uint32 where there are more than 65,536 characters."""
        check_text(text)
        ids = self._ids[_code_points(text)]  # (T,)
        if ids.size and ids.min() < 0:
            raise ValueError(self._lacking(text))
        return ids.astype(self._dtype)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`.

        Raises IndexError where an id is not in the vocabulary, TypeError where one is no integer.
        """
        ids = np.array(check_ids(ids, self.vocab_size), dtype=np.intp)  # (T,)
        return self._code_points[ids].tobytes().decode("utf-32-le")

    def save(self, path: str | os.PathLike) -> None:
        """Write the characters as JSON."""
        write_json(path, {"type": FORMAT, "characters": self.characters})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "CharTokenizer":
        """Read what `save` wrote. Raises ValueError where the file is broken or of another tokenizer."""
        data = read_json(path)
        if data.get("type") != FORMAT or not isinstance(data.get("characters"), str):
            raise ValueError(
                f"{path} holds no character tokenizer: its type must be {FORMAT!r}, its characters a string"
            )
        try:
            return cls(data["characters"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        return f"CharTokenizer({self.characters!r:.60})"

    def _lacking(self, text: str) -> str:
        lacking = sorted(set(text) - set(self.characters))
        shown = ", ".join(map(repr, lacking[:SHOWN_CHARACTERS]))
        more = f" and {len(lacking) - SHOWN_CHARACTERS} more" if len(lacking) > SHOWN_CHARACTERS else ""
        return (
            f"the character tokenizer lacks {shown}{more}: it knows only the {self.vocab_size} characters of "
            "its training text; leave those out, train it on text that holds them, or use byte-level BPE"
        )


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
