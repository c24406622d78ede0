"""WordPiece, the tokenizer of BERT (Wu et al. 2016, §4.1; Devlin et al. 2018, §3).

    text → words, cleaned and lower-cased      bert_text.py
    word → the longest pieces that fit         split_word, here

    "unaffable"  →  "un", "##aff", "##able"

Two differences to byte-level BPE. The vocabulary alone says how a word is cut: no merges are kept. And characters are
its smallest pieces, so a word with a character that it lacks becomes the token [UNK], and is lost.
"""

import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from operator import index
from typing import NamedTuple

import numpy as np

from ..files import read_json, write_json, write_text
from ..json_text import shortened
from .bert_text import split_bert_words, words_with_spans
from .checks import check_ids, check_text
from .wordpiece_json import from_json, read_vocab, to_json
from .wordpiece_train import CONTINUES, alphabet, learn_pieces

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CHARACTERS = 100  # of a word: a longer one is [UNK]
CLOSE_UP = (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re")  # no space is written before these


class Encoding(NamedTuple):
    """What BERT takes of a text or a pair of texts; all lists are of the same length T."""

    ids: list[int]
    token_type_ids: list[int]  # 0 up to the first [SEP], 1 in the second text
    offsets: list[tuple[int, int]]  # (start, stop) of the token in its own text; (0, 0) of [CLS] and [SEP]


def split_word(word: str, vocabulary: Container[str], longest: int = MAX_CHARACTERS) -> list[str]:
    """The pieces of a word: at each place the longest piece of the vocabulary that fits, from left to right.

    `[UNK]` alone where at some place none fits, or the word has more than 100 characters. `longest` may tell that no
    piece has more characters than that, which saves looking for one.
    """
    if len(word) > MAX_CHARACTERS:
        return [UNK]
    pieces, start = [], 0
    while start < len(word):
        prefix = CONTINUES if start else ""
        for stop in range(min(len(word), start + longest), start, -1):
            if prefix + word[start:stop] in vocabulary:
                break
        else:
            return [UNK]
        pieces.append(prefix + word[start:stop])
        start = stop
    return pieces


class WordPieceTokenizer:
    """Text to the ids of BERT's pieces and back.

        tokenizer = load_tokenizer("bert-base-uncased/vocab.txt")
        tokenizer.encode("Hello, world!")                      # [101, 7592, 1010, 2088, 999, 102]
        tokenizer.decode([101, 7592, 1010, 2088, 999, 102])    # "[CLS] hello, world! [SEP]"

    Attributes: `vocab_size`; `tokens`, by id; `special_tokens`, name to id; `options`, of bert_text.split_bert_words;
    `pad_id`, `unk_id`, `cls_id`, `sep_id`, `mask_id`; `eos_id`, which is `sep_id`.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        special_tokens: Iterable[str] = SPECIAL_TOKENS,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
    ) -> None:
        """`special_tokens` are kept whole in a text, those of them that are in `tokens`.

        Raises ValueError where a token comes twice, or [UNK], [CLS] or [SEP] is lacking.
        """
        self.tokens = list(tokens)
        self.vocab_size = len(self.tokens)
        self._ids = {token: token_id for token_id, token in enumerate(self.tokens)}
        _check_vocabulary(self.tokens, self._ids)
        self.special_tokens = {name: self._ids[name] for name in special_tokens if name in self._ids}
        if "" in self.special_tokens:
            raise ValueError("the special token '' is empty: give it a name")
        self.unk_id, self.cls_id, self.sep_id = self._ids[UNK], self._ids[CLS], self._ids[SEP]
        self.pad_id, self.mask_id = self._ids.get(PAD), self._ids.get(MASK)
        self.eos_id = self.sep_id
        self.options = {
            "do_lower_case": do_lower_case,
            "strip_accents": strip_accents,
            "tokenize_chinese_chars": tokenize_chinese_chars,
        }
        for name, value in self.options.items():
            if not isinstance(value, bool) and (value is not None or name != "strip_accents"):
                raise ValueError(f"{name} must be True or False, got {value!r}")
        self._longest = max(len(token.removeprefix(CONTINUES)) for token in self.tokens)
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})" if longest_first else "((?!))")
        self._dtype = np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        min_frequency: int = 2,
        limit_alphabet: int = 1000,
        **options: bool | None,
    ) -> "WordPieceTokenizer":
        """Learn a vocabulary: the five special tokens, the characters, and the pieces that merges make of them.

        Only the `limit_alphabet` most frequent characters count: words with another one will be [UNK]. The vocabulary
        comes out smaller when the text holds too few pairs that occur `min_frequency` times.
        `options` are those of bert_text.split_bert_words, such as do_lower_case=False.
        """
        word_counts = _count_words(texts, limit_alphabet, options)
        pieces = dict.fromkeys([*SPECIAL_TOKENS, *alphabet(word_counts)])
        if index(vocab_size) < len(pieces):
            raise ValueError(
                f"vocab_size must be at least {len(pieces):,} ({len(SPECIAL_TOKENS)} special tokens and the text's "
                f"characters), got {vocab_size:,}: make it larger, or limit_alphabet ({limit_alphabet:,}) smaller"
            )
        for piece in learn_pieces(word_counts, sum(map(len, word_counts)), min_frequency):
            if len(pieces) == vocab_size:
                break
            pieces[piece] = None
        return cls(list(pieces), **options)

    def encode(self, text: str, pair: str | None = None, add_special_tokens: bool = True) -> list[int]:
        """The ids of `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.

        The names of special tokens in a text become those tokens: "Paris is a [MASK]." asks BERT for a word.
        Raises TypeError where a text is no str, ValueError where it holds a lone surrogate.
        """
        parts = [self._encode(each) for each in (text, pair) if each is not None]
        return _framed(parts, [self.cls_id], [self.sep_id]) if add_special_tokens else _framed(parts)

    def encode_to_numpy(self, text: str, pair: str | None = None, add_special_tokens: bool = True) -> np.ndarray:
        """`encode`, as an array `(T,)`: uint16, or uint32 where there are more than 65,536 tokens."""
        return np.array(self.encode(text, pair, add_special_tokens), dtype=self._dtype)

    def encode_with_offsets(self, text: str, pair: str | None = None, add_special_tokens: bool = True) -> Encoding:
        """`encode`, with the text that each token belongs to, and where it stands there. Takes several times longer."""
        texts = [text] if pair is None else [text, pair]
        located = [list(self._locate(each)) for each in texts]
        ids = [[token_id for token_id, _ in part] for part in located]
        types = [[number] * len(part) for number, part in enumerate(located)]
        offsets = [[span for _, span in part] for part in located]
        if not add_special_tokens:
            return Encoding(_framed(ids), _framed(types), _framed(offsets))
        framed_ids = _framed(ids, [self.cls_id], [self.sep_id])
        n_first = len(ids[0]) + 2
        framed_types = [0] * n_first + [1] * (len(framed_ids) - n_first)
        return Encoding(framed_ids, framed_types, _framed(offsets, [(0, 0)], [(0, 0)]))

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The words of `ids` with spaces between them, but before punctuation that closes up.

        The text itself is lost: its capitals, accents and spaces, and what is [UNK]. But encoded again without
        [CLS] and [SEP] the words give the same ids.
        Raises IndexError where an id is not in the vocabulary, TypeError where one is no integer.
        """
        tokens = map(self.tokens.__getitem__, check_ids(ids, self.vocab_size))
        words: list[str] = []
        for token in tokens:
            if skip_special_tokens and token in self.special_tokens:
                continue
            if not words:
                words.append(token)
            elif token.startswith(CONTINUES):
                words.append(token.removeprefix(CONTINUES))
            else:
                words.append(token if token.startswith(CLOSE_UP) else f" {token}")
        return "".join(words)

    def save(self, path: str | os.PathLike) -> None:
        """Write Hugging Face's `tokenizer.json`."""
        write_json(path, to_json(self.tokens, self.special_tokens, self.options))

    def save_vocab(self, path: str | os.PathLike) -> None:
        """Write BERT's `vocab.txt`, which holds the tokens but not the options."""
        odd = next((token for token in self.tokens if "\n" in token or "\r" in token), None)
        if odd is not None:
            raise ValueError(f"the token {odd!r} holds a line end, so it has no line in {path}: use save instead")
        write_text(path, "".join(f"{token}\n" for token in self.tokens))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "WordPieceTokenizer":
        """Read Hugging Face's `tokenizer.json`. Raises ValueError where it is broken or not as BERT's."""
        data = read_json(path)
        try:
            tokens, special_tokens, options = from_json(data)
            return cls(tokens, special_tokens, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {shortened(error)}") from None

    @classmethod
    def load_vocab(cls, path: str | os.PathLike, **options: bool | None) -> "WordPieceTokenizer":
        """Read BERT's `vocab.txt`. It does not hold the options: give do_lower_case=False to a cased one."""
        tokens = read_vocab(path)
        try:
            return cls(tokens, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {shortened(error)}") from None

    def __repr__(self) -> str:
        return f"WordPieceTokenizer(vocab_size={self.vocab_size:,}, do_lower_case={self.options['do_lower_case']})"

    def _encode(self, text: str) -> list[int]:
        check_text(text)
        ids: list[int] = []
        for number, part in enumerate(self._special.split(text)):
            if number % 2 == 1:
                ids.append(self._ids[part])
                continue
            words = split_bert_words(part, **self.options)
            ids_of = {word: self._ids_of(word) for word in set(words)}  # most words come again and again
            for word in words:
                ids += ids_of[word]
        return ids

    def _locate(self, text: str) -> Iterable[tuple[int, tuple[int, int]]]:
        """Each id of `_encode`, and the span of the text that it stands for."""
        check_text(text)
        start = 0
        for number, part in enumerate(self._special.split(text)):
            if number % 2 == 1:
                yield self._ids[part], (start, start + len(part))
            else:
                words, spans = words_with_spans(part, **self.options)
                first = 0
                for word in words:
                    end, pieces = first + len(word), split_word(word, self._ids, self._longest)
                    for i, piece in enumerate(pieces):
                        is_last = i == len(pieces) - 1
                        stop = end if is_last else first + len(piece.removeprefix(CONTINUES) if i else piece)
                        yield self._ids[piece], (start + spans[first][0], start + spans[stop - 1][1])
                        first = stop
            start += len(part)

    def _ids_of(self, word: str) -> list[int]:
        return [self._ids[piece] for piece in split_word(word, self._ids, self._longest)]


def _framed(parts: list[list], before: Sequence = (), after_each: Sequence = ()) -> list:
    return [*before, *(each for part in parts for each in (*part, *after_each))]


def _count_words(texts: str | Iterable[str], limit_alphabet: int, options: Mapping[str, bool | None]) -> Counter[str]:
    """How often each word occurs that BERT would look at, and that is written in the most frequent characters."""
    word_counts: Counter[str] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        word_counts.update(split_bert_words(text, **options))
    character_counts: Counter[str] = Counter()
    for word, count in word_counts.items():
        for character in word:
            character_counts[character] += count
    by_frequency = sorted(character_counts, key=lambda character: (-character_counts[character], character))
    kept = set(by_frequency[:limit_alphabet])
    return Counter(
        {word: count for word, count in word_counts.items() if len(word) <= MAX_CHARACTERS and kept.issuperset(word)}
    )


def _check_vocabulary(tokens: Sequence[str], ids: Mapping[str, int]) -> None:
    for token_id, token in enumerate(tokens):
        check_text(token)
        if ids[token] != token_id:
            raise ValueError(f"the token {token!r} comes twice, with the ids {token_id:,} and {ids[token]:,}")
    lacking = [name for name in (UNK, CLS, SEP) if name not in ids]
    if lacking:
        raise ValueError(f"the vocabulary lacks {', '.join(lacking)}: is it one of BERT's, with one token a line?")
