"""Byte-level byte-pair encoding, the tokenizer of GPT-2 and of most models since (Radford et al. 2019, §2.2).

    text → words                                                split.py
    word → its UTF-8 bytes, one id each                         byte_alphabet.py
         → neighbours merged, in the order they were learned    bpe_merge.py

Every text can be written in bytes, so there are no unknown tokens, and decoding gives the text back exactly.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from operator import index

import numpy as np

from ..files import read_json, write_json
from ..json_text import shortened
from . import hf_json
from .bpe_merge import WordMerger, merge_table, ordinary_ids
from .bpe_train import learn_merges
from .byte_alphabet import BASE_TOKENS
from .checks import check_ids, check_text
from .word_counts import count_words

END_OF_TEXT = "<|endoftext|>"


class BPETokenizer:
    """Text to token ids and back, by merges learned from text.

        tokenizer = BPETokenizer.train(text, vocab_size=2048, special_tokens=["<|endoftext|>"])
        ids = tokenizer.encode("Hello, world")
        tokenizer.decode(ids)                       # "Hello, world"

    Attributes: `vocab_size`; `tokens`, the bytes of each token by id; `merges`, the pairs of ids in the order
    learned; `special_tokens`, name to id; `eos_id`, the id of `<|endoftext|>` or None; `split_digits`, whether each
    digit is a word of its own (split.py); `missing_bytes`, which no token of the vocabulary begins with: some
    tokenizers have none for bytes that they never saw, and leave them out of a text, as Hugging Face's does.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        merges: Sequence[tuple[int, int]],
        special_tokens: Mapping[str, int],
        split_digits: bool = False,
    ) -> None:
        """Raises ValueError where the three do not fit together."""
        self.tokens = list(tokens)
        self.merges = list(merges)
        self.special_tokens = dict(special_tokens)
        self.vocab_size = len(self.tokens)
        self.split_digits = split_digits
        self.eos_id = self.special_tokens.get(END_OF_TEXT)

        ordinary = ordinary_ids(self.tokens, self.special_tokens)
        self._byte_ids = [ordinary.get(bytes([byte]), -1) for byte in range(256)]
        self.missing_bytes = bytes(byte for byte, token_id in enumerate(self._byte_ids) if token_id < 0)
        self._merge_table = merge_table(self.tokens, self.merges, ordinary)
        self._dtype = np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        min_frequency: int = 2,
    ) -> "BPETokenizer":
        """Learn a vocabulary of `vocab_size` tokens: 256 bytes, the merges, and last the special tokens.

        It comes out smaller when the text holds too few pairs that occur `min_frequency` times. To show the
        progress of a long training, write its three steps yourself and loop over `learn_merges`.
        """
        special_tokens = _names(special_tokens)
        n_merges = index(vocab_size) - 256 - len(special_tokens)
        if n_merges < 0:
            raise ValueError(
                f"vocab_size must be at least {vocab_size - n_merges} "
                f"(256 bytes and {len(special_tokens)} special tokens), got {vocab_size}"
            )
        word_counts = count_words(texts)
        merges = learn_merges(word_counts, n_merges, min_frequency)
        return cls.from_merges(merges, special_tokens)

    @classmethod
    def from_merges(cls, merges: Iterable[tuple[int, int]], special_tokens: Sequence[str] = ()) -> "BPETokenizer":
        """A tokenizer of the merges that `learn_merges` yields: merge number i makes the token 256 + i."""
        special_tokens = _names(special_tokens)
        merges, tokens = list(merges), list(BASE_TOKENS)
        for left, right in merges:
            if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
                raise ValueError(f"the merge ({left}, {right}) names a token that no earlier merge has made")
            tokens.append(tokens[left] + tokens[right])
        special_ids = {name: len(tokens) + number for number, name in enumerate(special_tokens)}
        tokens += [name.encode("utf-8") for name in special_tokens]
        return cls(tokens, merges, special_ids)

    def with_special_tokens(self, names: Sequence[str]) -> "BPETokenizer":
        """A tokenizer that has these special tokens too, with the next ids; those that it had keep theirs.

        A model's table of embeddings must grow along: `models.resize_token_embeddings`.
        Raises ValueError for a name that is an ordinary token.
        """
        new = [name for name in _names(names) if name not in self.special_tokens]
        special_ids = {name: self.vocab_size + number for number, name in enumerate(new)}
        tokens = self.tokens + [name.encode("utf-8") for name in new]
        return BPETokenizer(tokens, self.merges, self.special_tokens | special_ids, self.split_digits)

    def encode(self, text: str, allowed_special: Collection[str] | str = ()) -> list[int]:
        """The token ids of `text`, in order.

        A special token's name in the text is ordinary text, unless it is in `allowed_special` (or that is
        "all"): so no document can end itself by writing `<|endoftext|>`.
        Raises TypeError where `text` is no str, ValueError where it holds a lone surrogate.
        """
        return self.encode_to_numpy(text, allowed_special).tolist()

    def encode_to_numpy(self, text: str, allowed_special: Collection[str] | str = ()) -> np.ndarray:
        """`encode`, as an array `(T,)`: uint16, or uint32 where there are more than 65,536 tokens."""
        check_text(text)
        encoded = [np.empty(0, dtype=np.uint32)]
        for number, part in enumerate(self._split_special(text, allowed_special)):
            is_special = number % 2 == 1
            encoded += [[self.special_tokens[part]]] if is_special else self._merger.encode(part)
        return np.concatenate(encoded, dtype=self._dtype, casting="unsafe")

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        """The text of `ids`. Bytes that are not whole characters become "�", or raise with `errors="strict"`.

        Raises IndexError where an id is not in the vocabulary, TypeError where one is no integer.
        """
        return self.decode_bytes(ids).decode("utf-8", errors)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; one token may be a part of a character only."""
        return b"".join(map(self.tokens.__getitem__, check_ids(ids, self.vocab_size)))

    def save(self, path: str | os.PathLike) -> None:
        """Write Hugging Face's `tokenizer.json`."""
        write_json(path, hf_json.to_json(self.tokens, self.merges, self.special_tokens, self.split_digits))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BPETokenizer":
        """Read Hugging Face's `tokenizer.json`. Raises ValueError where it is broken or no byte-level BPE."""
        data = read_json(path)
        try:
            return cls(*hf_json.from_json(data))
        except ValueError as error:
            raise ValueError(f"{path}: {shortened(error)}") from None

    @classmethod
    def load_gpt2(
        cls,
        vocab_path: str | os.PathLike,
        merges_path: str | os.PathLike,
        special_tokens: Collection[str] = (END_OF_TEXT,),
    ) -> "BPETokenizer":
        """Read GPT-2's two files, `vocab.json` (or `encoder.json`) and `merges.txt` (or `vocab.bpe`).

        They do not say which tokens are special: `special_tokens` does.
        Raises ValueError where they are broken.
        """
        vocab, merges = read_json(vocab_path), hf_json.read_merges(merges_path)
        try:
            return cls(*hf_json.from_vocab(vocab, merges, {name: vocab.get(name) for name in special_tokens}))
        except ValueError as error:
            raise ValueError(f"{vocab_path}, {merges_path}: {shortened(error)}") from None

    def __repr__(self) -> str:
        return f"BPETokenizer(vocab_size={self.vocab_size:,}, special_tokens={list(self.special_tokens)})"

    def _split_special(self, text: str, allowed_special: Collection[str] | str) -> list[str]:
        """Ordinary text and names of special tokens by turns, ordinary text first."""
        names = self.special_tokens if allowed_special == "all" else allowed_special
        unknown = {names} if isinstance(names, str) else set(names) - set(self.special_tokens)
        if unknown:
            raise ValueError(
                "allowed_special must be 'all' or a list of special tokens, "
                f"which are {list(self.special_tokens)}; got {sorted(unknown)}"
            )
        if not names:
            return [text]
        longest_first = sorted(names, key=len, reverse=True)
        return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)

    @cached_property
    def _merger(self) -> WordMerger:
        return WordMerger(self._byte_ids, self._merge_table, self.split_digits)


def _names(special_tokens: Sequence[str]) -> list[str]:
    """The names of the special tokens, checked: distinct strings."""
    names = [special_tokens] if isinstance(special_tokens, str) else list(special_tokens)
    for name in names:
        check_text(name)
    if len(set(names)) < len(names):
        raise ValueError(f"special_tokens must be distinct, got {names}")
    return names
