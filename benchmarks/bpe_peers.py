"""Hugging Face tokenizers, tiktoken and minbpe's algorithm, set up to do the same as our BPETokenizer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import regex

from tinygrad_llm.text import END_OF_TEXT, GPT2_PATTERN, BPETokenizer
from tinygrad_llm.text.bpe_train import merge_pair

DOCUMENT_CHARACTERS = 1000  # tokenizers is fastest, in training and encoding, when given texts of about this length
_BEFORE_SPACE = regex.compile(r"(?<=\S)(?=\s)")


def documents(text: str) -> list[str]:
    """`text` cut where no word is, so that the words stay the same."""
    cuts, start = [0], DOCUMENT_CHARACTERS
    while (cut := _BEFORE_SPACE.search(text, start)) is not None:
        cuts.append(cut.start())
        start = cut.start() + DOCUMENT_CHARACTERS
    return [text[start:stop] for start, stop in pairwise([*cuts, len(text)])]


def hugging_face_trainer(text: str, vocab_size: int):
    """A call that trains and returns the tokenizer, from bytes and with GPT-2's pattern like ours."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    pieces = documents(text)

    def train() -> Tokenizer:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        options = {"min_frequency": 2, "initial_alphabet": alphabet, "show_progress": False}
        tokenizer.train_from_iterator(pieces, trainers.BpeTrainer(vocab_size=vocab_size, **options))
        return tokenizer

    return train


def hugging_face_encoder(tokenizer_file: str, text: str):
    """A call that encodes; one thread where TOKENIZERS_PARALLELISM is "false"."""
    from tokenizers import Tokenizer

    tokenizer, pieces = Tokenizer.from_file(tokenizer_file), documents(text)
    return lambda: [token for encoding in tokenizer.encode_batch_fast(pieces) for token in encoding.ids]


def tiktoken_encoder(tokenizer_file: str, text: str):
    """A call that encodes, by the same merges: a token's id is its rank, as in GPT-2."""
    import tiktoken

    tokens = BPETokenizer.load(tokenizer_file).tokens
    ranks = {token: rank for rank, token in enumerate(tokens)}
    special = {END_OF_TEXT: len(tokens)}  # with none at all, tiktoken is slower by half
    encoding = tiktoken.Encoding("ours", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=special)
    return lambda: encoding.encode_to_numpy(text, disallowed_special=())


def minbpe_train(text: str, vocab_size: int) -> list[tuple[int, int]]:
    """A. Karpathy's minbpe, regex.py: every word as often as it occurs, and all pairs counted anew for each merge."""
    words = [list(word.encode("utf-8")) for word in regex.findall(GPT2_PATTERN, text)]
    merges = []
    for new_id in range(256, vocab_size):
        counts = Counter(pair for word in words for pair in pairwise(word))
        pair = max(counts, key=counts.get)
        merges.append(pair)
        words = [merge_pair(word, pair, new_id) for word in words]
    return merges
