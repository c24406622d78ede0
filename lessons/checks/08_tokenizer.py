"""Checks of lesson 08."""

from itertools import pairwise

from hypothesis import strategies as st

from tinygrad_llm.school import exercise, expect, for_all
from tinygrad_llm.text import learn_merges, split_word
from tinygrad_llm.text.bpe_merge import merge_word_ref
from tinygrad_llm.text.byte_alphabet import BASE_TOKENS

WORDS = st.text("abc", min_size=1, max_size=6)


@exercise(
    "How often does a pair occur in the text, if it stands twice in a word, and the word occurs five times?",
    "Add the count of the word for each pair of neighbours in it. Then look for the largest count and, among equal "
    "ones, the smallest pair: min with the key (−count, pair) does both.",
)
def best_pair(answer):
    expect(answer, {(1, 2, 3): 5, (2, 3): 2}, equals=(2, 3))
    expect(answer, {(4, 4, 4): 3, (1, 2): 5}, equals=(4, 4), why="(4, 4) stands twice in (4, 4, 4): 6 times in all")
    expect(answer, {(1, 2): 1, (1, 3): 1, (1, 4): 4}, equals=(1, 4), why="a word that occurs 4 times counts 4 times")
    expect(answer, {(9, 1): 2, (3, 8): 2, (3, 9): 2}, equals=(3, 8), why="of equally frequent pairs the smallest")
    expect(answer, {(5,): 100, (7, 6): 1}, equals=(7, 6), why="a word of one token has no pair")
    words = st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple)
    counts = st.dictionaries(words, st.integers(1, 9), min_size=1, max_size=3)
    for_all(answer, counts.filter(lambda counts: any(len(word) > 1 for word in counts)), equals=most_frequent)


def most_frequent(word_counts):
    pairs = {pair for word in word_counts for pair in pairwise(word)}
    return min(pairs, key=lambda pair: (-sum(n * list(pairwise(w)).count(pair) for w, n in word_counts.items()), pair))


@exercise(
    "How do you find out whether the last character is whole? Which byte of it says how many bytes it has?",
    "Go back from the end over the bytes that begin with 10, at most three: the byte before them is the first of the "
    "last character. If it asks for more bytes than there are, all from it on has to wait.",
)
def whole_characters(answer):
    expect(answer, "né".encode(), equals=("né", b""))
    expect(answer, "né".encode()[:2], equals=("n", b"\xc3"), why="é is two bytes, and the second has not come yet")
    expect(answer, b"", equals=("", b""), why="nothing came yet")
    for n in (1, 2, 3):
        received = "文".encode() + "🙂".encode()[:n]
        expect(answer, received, equals=("文", "🙂".encode()[:n]), why=f"{n} of the 4 bytes of 🙂 have come")
    expect(answer, "文🙂".encode(), equals=("文🙂", b""), why="now all have come")
    expect(answer, "a\ufffd".encode(), equals=("a\ufffd", b""), why="the character U+FFFD is a character, too")
    texts = st.text("aé文🙂\ufffd\x00", max_size=4)
    for_all(answer, st.tuples(texts, st.integers(0, 3)).map(cut_off), equals=decoded_in_parts)


def cut_off(text_and_n):
    text, n = text_and_n
    raw = text.encode("utf-8")
    return raw[: len(raw) - n] if n < len(raw) else raw


def decoded_in_parts(received):
    for n_waiting in range(4):
        stop = len(received) - n_waiting
        try:
            return received[:stop].decode("utf-8"), received[stop:]
        except UnicodeDecodeError:
            continue


@exercise(
    "Which merge goes first: the leftmost, the longest, or the one that was learned first?",
    "In each round look at all pairs of neighbours and keep those that are in `merges`; do only the one that stands "
    "first there, at its leftmost place; then look at the new row.",
)
def apply_merges(answer):
    paper = [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]
    expect(answer, "lowest", paper, equals=["low", "est"])
    expect(answer, "xyz", paper, equals=["x", "y", "z"], why="no merge is possible")
    expect(answer, "abc", [("b", "c"), ("a", "b")], equals=["a", "bc"], why="b + c was learned first")
    expect(answer, "aaa", [("a", "a")], equals=["aa", "a"], why="the leftmost place goes first")
    expect(answer, "abcab", [("a", "b")], equals=["ab", "c", "ab"], why="a merge goes wherever it is possible")
    again = [("b", "c"), ("a", "a"), ("aa", "bc")]
    expect(answer, "aabc", again, equals=["aabc"], why="a merge may become possible through later ones")
    for_all(answer, WORDS, st.lists(WORDS, min_size=1, max_size=4).map(merges_of), equals=merged)


def merges_of(words):
    """The merges that byte-pair encoding learns from these words, as text."""
    tokens = [bytes(token).decode("latin-1") for token in BASE_TOKENS]
    merges = []
    for left, right in learn_merges(dict.fromkeys(words, 1), 6, min_frequency=1):
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return merges


def merged(word, merges):
    names = list("abc")
    table = {}
    for rank, (left, right) in enumerate(merges):
        if left + right not in names:
            names.append(left + right)
        table[names.index(left), names.index(right)] = (rank, names.index(left + right))
    return [names[token] for token in merge_word_ref(["abc".index(letter) for letter in word], table)]


@exercise(
    "At the start of the word, which piece do you try first, which next? And what changes after the first piece?",
    "Try the whole rest of the word, then one character less, down to one. After the first piece, put ## before what "
    "you look up. If even one character is not there, the answer is the unknown token alone.",
)
def longest_match(answer):
    expect(answer, "unaffable", {"un", "##aff", "##able"}, equals=["un", "##aff", "##able"])
    expect(answer, "unaffable", {"un", "##aff"}, equals=["[UNK]"], why="nothing fits after unaff")
    longest = {"u", "un", "##n", "##a", "##affable"}
    expect(answer, "unaffable", longest, equals=["un", "##affable"], why="the longest piece goes first")
    expect(answer, "able", {"##able", "a", "##b", "##le"}, equals=["a", "##b", "##le"], why="##able continues a word")
    expect(answer, "aa", {"a"}, equals=["[UNK]"], why="a begins a word, ##a would continue it")
    no_way_back = {"ab", "a", "##bc"}
    expect(answer, "abc", no_way_back, equals=["[UNK]"], why="ab is longest, and there is no way back to a ##bc")
    pieces = st.builds(str.__add__, st.sampled_from(["", "##"]), st.text("ab", min_size=1, max_size=3))
    for_all(answer, st.text("ab", min_size=1, max_size=6), st.sets(pieces, max_size=6), equals=split_word)
