"""WordPiece: equal to BERT's tokenizer (tests/golden/make_wordpiece_golden.py), and its training to the plain one."""

import json
import math
import random
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_checks import tight_tables

from tinygrad_llm.text import (
    WordPieceTokenizer,
    learn_pieces,
    split_bert_words,
    split_word,
    wordpiece_train,
)
from tinygrad_llm.text.bert_text import spaced
from tinygrad_llm.text.wordpiece import SPECIAL_TOKENS
from tinygrad_llm.text.wordpiece_train import alphabet, learn_pieces_ref

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "wordpiece_golden.json").read_text(encoding="utf-8"))
STRINGS, CASES = GOLDEN["strings"], GOLDEN["cases"]
VOCAB = FOLDER / "wordpiece_vocab.txt"
TOKENIZER = WordPieceTokenizer.load_vocab(VOCAB)
TEXT = "The lower the newer, the wider the newest: low, lower, lowest. We'll see, unaffable. 文字 naïve\n" * 3

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
bert_text = st.lists(st.sampled_from(STRINGS) | st.text("abc éΣ文.,!?'[]#\n\u0301", max_size=9), max_size=4).map(
    "".join
)
words_of_few_letters = st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 9), max_size=12)


# --- equal to BERT's ---


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case["options"]) or "defaults")
def test_ids_offsets_and_decoded_text(case):
    tokenizer = WordPieceTokenizer.load_vocab(VOCAB, **case["options"])
    for number, text in enumerate(STRINGS):
        ids, encoding = tokenizer.encode(text), tokenizer.encode_with_offsets(text)
        assert ids == case["ids"][number], text
        assert encoding.ids == ids
        assert encoding.token_type_ids == [0] * len(ids)
        assert [place for span in encoding.offsets for place in span] == case["offsets"][number], text
        assert tokenizer.encode(text, add_special_tokens=False) == ids[1:-1]
        assert tokenizer.encode_with_offsets(text, add_special_tokens=False).ids == ids[1:-1]
        assert tokenizer.decode(ids) == case["decoded"][number]
        assert tokenizer.decode(ids, skip_special_tokens=True) == case["decoded_words"][number]


def test_pairs():
    for (text, pair), ids, types in zip(GOLDEN["pairs"], GOLDEN["pair_ids"], GOLDEN["pair_types"], strict=True):
        encoding = TOKENIZER.encode_with_offsets(text, pair)
        assert TOKENIZER.encode(text, pair) == encoding.ids == ids
        assert encoding.token_type_ids == types
        assert len(encoding.offsets) == len(ids)
        n_first = len(TOKENIZER.encode(text)) - 2
        bare = TOKENIZER.encode_with_offsets(text, pair, add_special_tokens=False)
        assert bare.ids == TOKENIZER.encode(text, pair, add_special_tokens=False)
        assert bare.token_type_ids == [0] * n_first + [1] * (len(bare.ids) - n_first)


# --- words and pieces ---


def test_documented_examples():
    assert split_bert_words("Café, don't!\x00") == ["cafe", ",", "don", "'", "t", "!"]
    assert split_word("unaffable", {"un", "##aff", "##able"}) == ["un", "##aff", "##able"]
    assert split_word("unaffables", {"un", "##aff", "##able"}) == ["[UNK]"]
    assert split_word("unaffable", {"un", "una", "##aff", "##ffable", "##able"}) == ["una", "##ffable"]
    assert "vocab_size=700" in repr(TOKENIZER)


@given(any_text | bert_text)
def test_decoded_and_encoded_again_the_ids_are_the_same(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.encode(TOKENIZER.decode(ids), add_special_tokens=False) == ids
    assert all(0 <= token_id < TOKENIZER.vocab_size for token_id in ids)


@given(any_text | bert_text)
def test_offsets_point_at_the_text_of_each_token(text):
    encoding = TOKENIZER.encode_with_offsets(text)
    assert encoding.ids == TOKENIZER.encode(text)
    inner = encoding.offsets[1:-1]
    assert all(0 <= start < stop <= len(text) for start, stop in inner)
    assert all(first <= second for first, second in pairwise(inner))
    for token_id, (start, stop) in zip(encoding.ids[1:-1], inner, strict=True):
        token = TOKENIZER.tokens[token_id]
        if token not in TOKENIZER.special_tokens and text.isascii():
            assert text[start:stop].lower() == token.removeprefix("##") or token == text[start:stop]


@given(any_text | bert_text, st.booleans(), st.sampled_from([None, True, False]), st.booleans())
def test_words_are_words_again(text, do_lower_case, strip_accents, tokenize_chinese_chars):
    options = (do_lower_case, strip_accents, tokenize_chinese_chars)
    words = split_bert_words(text, *options)
    assert split_bert_words(" ".join(words), *options) == words
    assert split_bert_words(spaced(text, *options), *options) == words


@given(st.text("abc", min_size=1, max_size=30), words_of_few_letters)
def test_pieces_make_up_their_word(word, word_counts):
    vocabulary = {*alphabet({**word_counts, "abc": 1}), *learn_pieces(word_counts, 20)}
    pieces = split_word(word, vocabulary)
    assert pieces[0] + "".join(piece.removeprefix("##") for piece in pieces[1:]) == word
    assert pieces == split_word(word, vocabulary, max(map(len, vocabulary)))
    whole = vocabulary | {word}
    assert split_word(word, whole) == [word]


def test_arrays_have_the_smallest_type_that_holds_the_vocabulary():
    ids = TOKENIZER.encode_to_numpy(TEXT)
    assert ids.dtype == np.uint16
    assert ids.tolist() == TOKENIZER.encode(TEXT)
    assert TOKENIZER.decode(ids) == TOKENIZER.decode(iter(ids))
    large = WordPieceTokenizer([*SPECIAL_TOKENS, *(f"x{i}" for i in range(2**16))])
    assert large.encode_to_numpy("x65535").tolist() == [2, 5 + 65535, 3]


# --- training ---


@given(words_of_few_letters, st.integers(0, 30), st.integers(1, 4))
@settings(max_examples=200)
def test_training_equals_the_naive_algorithm(word_counts, n_merges, min_frequency):
    pieces = list(learn_pieces(word_counts, n_merges, min_frequency))
    assert pieces == list(learn_pieces_ref(word_counts, n_merges, min_frequency))


@given(words_of_few_letters, st.randoms())
def test_training_does_not_depend_on_the_order_of_the_words(word_counts, rng):
    items = list(word_counts.items())
    rng.shuffle(items)
    assert list(learn_pieces(dict(items), 20)) == list(learn_pieces(word_counts, 20))


def test_a_full_table_of_pairs_is_replaced_without_a_trace(monkeypatch):
    sizes = []
    monkeypatch.setattr(wordpiece_train, "empty_tables", tight_tables(700, sizes))
    rng = random.Random(0)
    letters = [chr(code) for code in range(97, 113)]
    word_counts = {"".join(rng.choices(letters, k=6)): rng.randrange(1, 9) for _ in range(300)}
    pieces = list(learn_pieces(word_counts, 150))
    assert pieces == list(learn_pieces_ref(word_counts, 150))
    assert len(pieces) == 150
    assert len(sizes) > 1


def test_the_pair_that_is_likeliest_against_chance_comes_first():
    """ "##a ##a" is most frequent, but its parts are everywhere; "qu" gains 4 · log(4 · 72 / (4 · 4))."""
    word_counts = {"qu": 4, "baaa": 2, "caaa": 2, "daaa": 2, "eaba": 10}
    n = 2 * 4 + 3 * 2 * 4 + 10 * 4
    assert n == 72
    assert next(learn_pieces(word_counts, 1)) == next(learn_pieces_ref(word_counts, 1))
    assert next(learn_pieces({"qu": 4, "xa": 5, "xb": 5, "ya": 5, "yb": 5}, 1)) == "qu"
    gain_of_qu, gain_of_xa = 4 * math.log(4 * 48 / (4 * 4)), 5 * math.log(5 * 48 / (10 * 10))
    assert gain_of_qu > gain_of_xa


def test_the_vocabulary_is_special_tokens_then_characters_then_pieces():
    tokenizer = WordPieceTokenizer.train(TEXT, 60)
    characters = alphabet(dict.fromkeys(split_bert_words(TEXT), 1))
    n_first = len(SPECIAL_TOKENS) + len(characters)
    assert tokenizer.tokens[:n_first] == [*SPECIAL_TOKENS, *characters]
    assert tokenizer.vocab_size == 60
    assert set(tokenizer.tokens) <= set(WordPieceTokenizer.train(TEXT, 70).tokens)
    assert tokenizer.decode(tokenizer.encode("The NEWEST, widest naive 字", add_special_tokens=False)) == (
        "the newest, widest naive 字"
    )
    assert WordPieceTokenizer.train("ab ab", 1000).tokens[5:] == ["##a", "##b", "a", "b", "ab"]
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    assert ids == (0, 1, 2, 3, 4)
    assert tokenizer.eos_id == tokenizer.sep_id


def test_training_with_options_and_a_limited_alphabet():
    cased = WordPieceTokenizer.train([TEXT, TEXT], 100, do_lower_case=False)
    assert cased.decode(cased.encode("The naïve", add_special_tokens=False)) == "The naïve"
    assert not cased.options["do_lower_case"]
    tokenizer = WordPieceTokenizer.train(iter(["ab ab ab ac a%s" % ("b" * 100)]), 100, limit_alphabet=2)
    assert tokenizer.encode("ab ac", add_special_tokens=False) == [tokenizer.tokens.index("ab"), tokenizer.unk_id]
    assert WordPieceTokenizer.train("", 5).encode("a") == [2, 1, 3]


def test_pieces_can_be_learned_step_by_step():
    word_counts = {"lower": 2, "lowest": 3}
    assert list(islice(learn_pieces(word_counts, 9), 3)) == list(learn_pieces(word_counts, 3))


# --- wrong arguments ---


def test_wrong_arguments():
    with pytest.raises(ValueError, match="lone surrogate"):
        TOKENIZER.encode("a\ud800")
    with pytest.raises(ValueError, match="lone surrogate"):
        WordPieceTokenizer.train(["fine", "\udfff"], 300)
    with pytest.raises(TypeError, match="must be a str, got bytes"):
        TOKENIZER.encode(b"ab")
    with pytest.raises(TypeError, match="must be a str, got int"):
        TOKENIZER.encode("a", 5)
    with pytest.raises(ValueError, match=r"vocab_size must be at least \d+ .* got 20"):
        WordPieceTokenizer.train(TEXT, 20)
    with pytest.raises(TypeError):
        WordPieceTokenizer.train(TEXT, 300.5)
    with pytest.raises(IndexError, match="out of range"):
        TOKENIZER.decode([700])
    with pytest.raises(TypeError, match="flat row of integers"):
        TOKENIZER.decode([0.5])
