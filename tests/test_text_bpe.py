"""Byte-level BPE: lossless on any text, and equal to the plain algorithms it speeds up."""

import random
from itertools import islice

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from text_checks import tight_tables

from tinygrad_llm.text import END_OF_TEXT, GPT2_PATTERN, BPETokenizer, bpe_train, count_words, learn_merges
from tinygrad_llm.text.bpe_merge import merge_word_ref
from tinygrad_llm.text.bpe_merge_kernels import LONG_WORD, merge_by_scan, merge_by_tree
from tinygrad_llm.text.bpe_train import MERGES_AT_A_TIME, learn_merges_ref
from tinygrad_llm.text.byte_alphabet import BASE_TOKENS, BYTE_IDS, from_visible, to_visible
from tinygrad_llm.text.word_counts import count_words_ref

TEXT = (
    "The lower the newer, the wider the newest: low, lower, lowest. We'll see, they're 1234 aaaa aaaaaa.\r\n"
    "分词器把文本切成小块，模型可以数这些小块。 e\u0301 😀😀 👩‍👩‍👧\n\n    return out\n"
) * 3
TOKENIZER = BPETokenizer.train(TEXT, 400, [END_OF_TEXT, "<|im_start|>"])

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# All classes of the pattern meet here.
spaced_text = st.text("ab'sre1 \t\n\r\x0b\x1c\x85\xa0\u3000é!中", max_size=60)
words_of_few_letters = st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 9), max_size=12)


@given(any_text | spaced_text)
def test_round_trip_of_any_text(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.decode_bytes(ids) == text.encode("utf-8")
    assert all(0 <= token_id < TOKENIZER.vocab_size for token_id in ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n\r\n",
        "未见过的字龘",
        "e\u0301\u0302\u0303",
        "🏳️‍🌈🇩🇪",
        "\0\x7f\ufeff",
        "\U0010ffff",
        "עברית عربي",
    ],
)
def test_round_trip_of_chosen_texts(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_training_text_becomes_shorter():
    assert len(TOKENIZER.encode(TEXT)) < 0.4 * len(TEXT.encode("utf-8"))
    assert TOKENIZER.encode(" the") == [TOKENIZER.tokens.index(b" the")]


# --- training ---


@given(words_of_few_letters, st.integers(0, 30), st.integers(1, 4))
@settings(max_examples=300)
def test_training_equals_the_naive_algorithm(word_counts, n_merges, min_frequency):
    merges = list(learn_merges(word_counts, n_merges, min_frequency))
    assert merges == list(learn_merges_ref(word_counts, n_merges, min_frequency))


def test_training_on_real_words_equals_the_naive_algorithm():
    word_counts = count_words(TEXT)
    merges = list(learn_merges(word_counts, 200, 1))
    assert merges == list(learn_merges_ref(word_counts, 200, 1))
    assert len(merges) > MERGES_AT_A_TIME


def test_a_full_table_of_pairs_is_replaced_without_a_trace(monkeypatch):
    sizes = []
    monkeypatch.setattr(bpe_train, "empty_tables", tight_tables(1500, sizes))
    rng = random.Random(0)
    letters = [chr(code) for code in range(48, 88)]
    word_counts = {"".join(rng.choices(letters, k=8)): rng.randrange(1, 9) for _ in range(600)}
    merges = list(learn_merges(word_counts, 200))
    assert merges == list(learn_merges_ref(word_counts, 200))
    assert len(merges) == 200
    assert len(sizes) > 1


def test_counts_may_be_large():
    counts = {"ab": 2**40, "cd": 2**40 + 1, "abc": 3}
    assert list(learn_merges(counts, 3)) == list(learn_merges_ref(counts, 3))


@given(words_of_few_letters, st.randoms())
def test_training_does_not_depend_on_the_order_of_the_words(word_counts, rng):
    items = list(word_counts.items())
    rng.shuffle(items)
    assert list(learn_merges(dict(items), 20)) == list(learn_merges(word_counts, 20))


def test_ties_go_to_the_smaller_ids():
    assert next(learn_merges({"xy": 2, "ab": 2}, 1)) == (BYTE_IDS[ord("a")], BYTE_IDS[ord("b")])


def test_vocabulary_is_bytes_then_merges_then_special_tokens():
    tokenizer = BPETokenizer.train("ab ab ab abc abc", 259, ["<s>"])
    assert tokenizer.tokens[:256] == BASE_TOKENS
    assert tokenizer.tokens[256:] == [b"ab", b" ab", b"<s>"]
    assert tokenizer.special_tokens == {"<s>": 258}
    assert tokenizer.vocab_size == 259
    assert tokenizer.eos_id is None
    assert TOKENIZER.eos_id == TOKENIZER.special_tokens[END_OF_TEXT] == TOKENIZER.vocab_size - 2


def test_vocabulary_ends_early_when_the_text_has_no_more_pairs():
    assert BPETokenizer.train("abab", 10_000).vocab_size == 257  # "ab"; "abab" occurs once only
    assert BPETokenizer.train("abab", 10_000, min_frequency=1).vocab_size == 258
    assert BPETokenizer.train("", 10_000).vocab_size == 256


def test_training_step_by_step_is_train():
    merges = list(islice(learn_merges(count_words(TEXT), 1000), TOKENIZER.vocab_size - 258))
    assert BPETokenizer.from_merges(merges, [END_OF_TEXT, "<|im_start|>"]).tokens == TOKENIZER.tokens


# --- encoding ---


def encode_ref(tokenizer, text):
    """Split by the pattern, merged by the plain algorithm."""
    table = {pair: (rank, 256 + rank) for rank, pair in enumerate(tokenizer.merges)}
    words = regex.findall(GPT2_PATTERN, text)
    return [i for word in words for i in merge_word_ref(list(word.encode("utf-8").translate(BYTE_IDS)), table)]


@given(st.text("abc", max_size=40), words_of_few_letters)
def test_encoding_equals_the_naive_algorithm(word, word_counts):
    tokenizer = BPETokenizer.from_merges(learn_merges(word_counts, 30, 1))
    assert tokenizer.encode(word) == encode_ref(tokenizer, word)


@given(any_text)
def test_encoding_real_text_equals_the_naive_algorithm(text):
    assert TOKENIZER.encode(text) == encode_ref(TOKENIZER, text)


@given(st.text("abc", min_size=1, max_size=4 * LONG_WORD), words_of_few_letters)
def test_both_ways_to_merge_give_the_same(word, word_counts):
    tokenizer = BPETokenizer.from_merges(learn_merges(word_counts, 30, 1))
    ids, merger = list(word.encode().translate(BYTE_IDS)), tokenizer._merger
    row, merges = np.zeros(len(ids) + 2, dtype=np.int64), np.empty(4 * (len(ids) + 1), dtype=np.int64)
    for merge in (merge_by_scan, merge_by_tree):
        row[1:-1] = ids
        n_left = merge(row, len(ids), merger.keys, merger.values, merges)
        assert row[1 : n_left + 1].tolist() == encode_ref(tokenizer, word)


def test_merge_word_ref_follows_the_ranks_and_leaves_its_input_alone():
    table = {(0, 1): (1, 3), (1, 2): (0, 4)}
    ids = [0, 1, 2]
    assert merge_word_ref(ids, table) == [0, 4]
    assert ids == [0, 1, 2]
    assert merge_word_ref([5] * 5, {(5, 5): (0, 6)}) == [6, 6, 5]


def test_the_rank_decides_not_the_id():
    tokens = [*BASE_TOKENS, b"bc", b"ab"]  # a file may number the tokens as it likes
    a, b, c = (BYTE_IDS[byte] for byte in b"abc")
    assert BPETokenizer(tokens, [(a, b), (b, c)], {}).encode("abc bc") == [257, c, BYTE_IDS[32], 256]


def test_a_word_without_end_is_encoded_in_reasonable_steps():
    rng = random.Random(0)
    text = "".join(rng.choices("ab", k=20_000))  # one word: n² steps would take minutes
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_a_text_of_many_pieces_is_encoded_as_a_whole(monkeypatch):
    expected = TOKENIZER.encode(TEXT)
    monkeypatch.setattr("tinygrad_llm.text.split.PIECE_CHARACTERS", 20)
    assert TOKENIZER.encode(TEXT) == expected
    assert count_words(TEXT) == count_words_ref([TEXT])


def test_encode_to_numpy():
    ids = TOKENIZER.encode_to_numpy(TEXT)
    assert ids.dtype == np.uint16
    assert ids.flags.writeable
    assert ids.tolist() == TOKENIZER.encode(TEXT)
    large = BPETokenizer([*BASE_TOKENS, *(b"x%d" % i for i in range(2**16))], [], {})
    assert large.encode_to_numpy("abc").dtype == np.uint32
    assert large.decode(large.encode("abc")) == "abc"


def test_decoding_parts_of_characters():
    ids = BPETokenizer.from_merges([]).encode("汉")
    tokenizer = BPETokenizer.from_merges([])
    assert tokenizer.decode(ids[:2]) == "\ufffd"
    assert tokenizer.decode_bytes(ids[:2]) == "汉".encode()[:2]
    with pytest.raises(UnicodeDecodeError):
        tokenizer.decode(ids[:2], errors="strict")
    assert tokenizer.decode(np.array(ids)) == tokenizer.decode(iter(ids)) == "汉"
    assert tokenizer.decode([]) == ""


def test_visible_bytes():
    assert to_visible(b" the\n") == "ĠtheĊ"
    every_byte = bytes(range(256))
    assert from_visible(to_visible(every_byte)) == every_byte
    assert to_visible(every_byte).isprintable()
    with pytest.raises(ValueError, match="stands for no byte"):
        from_visible("汉")


# --- special tokens ---


def test_special_tokens_are_plain_text_unless_allowed():
    text = f"a{END_OF_TEXT}b<|im_start|>"
    eos, start = TOKENIZER.special_tokens[END_OF_TEXT], TOKENIZER.special_tokens["<|im_start|>"]
    a, b = TOKENIZER.encode("a"), TOKENIZER.encode("b")
    assert not {eos, start} & set(TOKENIZER.encode(text))
    assert TOKENIZER.encode(text, allowed_special="all") == [*a, eos, *b, start]
    only = TOKENIZER.encode(text, allowed_special={"<|im_start|>"})
    assert eos not in only
    assert only[-1] == start
    for ids in (TOKENIZER.encode(text), TOKENIZER.encode(text, "all"), only):
        assert TOKENIZER.decode(ids) == text


def test_the_longer_special_token_wins():
    tokenizer = BPETokenizer.from_merges([], ["<a>", "<a><b>"])
    assert tokenizer.encode("<a><b><a>", "all") == [257, 256]


def test_wrong_special_tokens():
    with pytest.raises(ValueError, match=r"allowed_special .* '<\|im_start\|>'\]; got \['<x>'\]"):
        TOKENIZER.encode("a", allowed_special=["<x>"])
    with pytest.raises(ValueError, match="must be 'all' or a list"):
        TOKENIZER.encode("a", allowed_special=END_OF_TEXT)
    with pytest.raises(ValueError, match="distinct"):
        BPETokenizer.train(TEXT, 300, ["<s>", "<s>"])
    with pytest.raises(ValueError, match="'low' is an ordinary token too"):
        BPETokenizer.train("low low low", 300, ["low"])
    with pytest.raises(ValueError, match="the special token '' "):
        BPETokenizer.train(TEXT, 300, [""])


# --- wrong arguments ---


@pytest.mark.parametrize("text", ["a\ud800", "\udfff b", "\ud83d\ude00"])
def test_lone_surrogates_are_named(text):
    with pytest.raises(ValueError, match=r"lone surrogate .* at position"):
        TOKENIZER.encode(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        BPETokenizer.train(["fine", text], 300)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="vocab_size must be at least 257"):
        BPETokenizer.train(TEXT, 256, [END_OF_TEXT])
    with pytest.raises(TypeError):
        BPETokenizer.train(TEXT, 300.5)
    with pytest.raises(TypeError, match="must be a str, got bytes"):
        BPETokenizer.train([b"abc"], 300)
    with pytest.raises(TypeError, match="must be a str, got list"):
        TOKENIZER.encode(["abc"])
    with pytest.raises(ValueError, match="no earlier merge"):
        BPETokenizer.from_merges([(0, 256)])
    for wrong in ([TOKENIZER.vocab_size], [-1]):
        with pytest.raises(IndexError, match=rf"out of range: .* ids 0 to {TOKENIZER.vocab_size - 1}"):
            TOKENIZER.decode(wrong)
    for wrong in ([0.5], [[0, 1]], ["a"], [None]):
        with pytest.raises(TypeError, match="flat row of integers"):
            TOKENIZER.decode(wrong)
