"""Checks of lesson 07."""

import hashlib
import time
from itertools import combinations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinygrad_llm.data import normalize
from tinygrad_llm.data.near_duplicates import minima_ref
from tinygrad_llm.data.repetition import repeated_ngram_share_ref
from tinygrad_llm.data.words import PRIME
from tinygrad_llm.school import demand, exercise, expect, for_all, search
from tinygrad_llm.school.checks import call_answer

FEW_WORDS = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


def shingles_of(text, n):
    words = text.split()
    return {tuple(words)} if len(words) < n else set(zip(*(words[k:] for k in range(n)), strict=False))


@exercise(
    "A shingle that occurs three times in a text is still one shingle. Which type of Python holds things once?",
    "Make a set of tuples of n words from each text. The similarity is the size of what both have (&), divided by the "
    "size of what either has (|).",
)
def jaccard(answer):
    expect(answer, "a b c d", "a b c e", 2, equals=0.5, why="ab and bc are common, cd and ce are not")
    expect(answer, "to be or not to be", "to be or not", 2, equals=0.75, why="to-be occurs twice and counts once")
    expect(answer, "a b", "b a", 1, equals=1.0, why="by single words the order does not count")
    expect(answer, "a b", "b a", 2, equals=0.0, why="ab and ba are different shingles")
    expect(answer, "a", "a", 2, equals=1.0, why="a short text has one shingle, all of its words")
    expect(answer, "", "", 3, equals=1.0, why="two texts without words are equal")

    def reference(a, b, n):
        one, other = shingles_of(a, n), shingles_of(b, n)
        return len(one & other) / len(one | other)

    for_all(answer, FEW_WORDS, FEW_WORDS, st.integers(1, 3), equals=reference, max_examples=200)


@exercise(
    "Which form of the text is hashed? And does your number come out the same in tomorrow's Python? hash() does not.",
    "normalize, encode, sha256, .digest(), the first 8 bytes, int.from_bytes with 'big', divide by 2**64, compare.",
)
def goes_to_validation(answer):
    expect(answer, "a", 0.8, equals=True, why='the number for "a" is 0.792, below 0.8')
    expect(answer, "a", 0.7, equals=False, why='the number for "a" is 0.792, not below 0.7')
    expect(answer, "a \r\n", 0.8, equals=True, why='this is a copy of "a", but for blanks and line ends')
    expect(answer, "é", 0.5, equals=number_of("é") < 0.5, why="hash the UTF-8 bytes")
    expect(answer, "e\u0301", 0.5, equals=number_of("é") < 0.5, why="a composed and a decomposed é are the same text")
    for_all(answer, st.text("ab \n", max_size=4), st.floats(0, 1), equals=lambda text, f: bool(number_of(text) < f))


def number_of(text):
    first = np.frombuffer(hashlib.sha256(normalize(text).encode()).digest()[:8], dtype=">u8")
    return float(first[0]) / 2.0**64


@exercise(
    "Broadcasting makes a table of all values: a row per hash function, a column per shingle. Which axes must be new?",
    "factors[:, None] * shingles is (K, S). Add the offsets in the same way, take % p of it all, then the minimum of "
    "each row. The remainder comes first, the minimum second.",
)
def minhash(answer):
    small = np.array([1, 2]), np.array([3, 5]), np.array([0, 4])
    expect(answer, *small, equals=np.array([3, 9]), why="3·1+0 = 3 and 3·2+0 = 6; 5·1+4 = 9 and 5·2+4 = 14")
    wraps = np.array([PRIME - 1, 1]), np.array([2]), np.array([3])
    expect(answer, *wraps, equals=np.array([1]), why="2·(p−1)+3 is 2p+1, which is 1 modulo p; 2·1+3 is 5")
    big = np.array([PRIME - 1]), np.array([PRIME - 1]), np.array([PRIME - 1])
    expect(answer, *big, equals=np.array([0]), why="(p−1)·(p−1) + (p−1) = (p−1)·p, which is 0 modulo p")

    def check(shingles, functions):
        factors, offsets = functions
        inputs = shingles, np.array(factors), np.array(offsets)
        expect(answer, *inputs, equals=minima_ref(*inputs))

    numbers = st.integers(0, PRIME - 1)
    functions = st.integers(1, 3).flatmap(lambda K: st.tuples(*[st.lists(numbers, min_size=K, max_size=K)] * 2))
    search(check, arrays(np.int64, st.integers(1, 3), elements=numbers), functions)


@exercise(
    "Texts that agree in a band have the same tuple there. What finds all that have the same key, without comparing?",
    "For each band make a dictionary from the band's tuple to the list of texts that have it. The pairs within each "
    "list go into one set. The same numbers in another band are something else: a new dictionary for each band.",
)
def near_duplicate_pairs(answer):
    rows = np.array([[1, 2, 3, 4], [9, 9, 3, 4], [3, 4, 1, 2]])
    expect(answer, rows, 2, equals={(0, 1)}, why="3, 4 in the first band is not 3, 4 in the second")
    expect(answer, rows, 1, equals=set(), why="one band is the whole row")
    expect(answer, rows, 4, equals={(0, 1)}, why="four bands of one column each")
    same = np.array([[1, 2], [1, 2], [1, 2]])
    expect(answer, same, 2, equals={(0, 1), (0, 2), (1, 2)}, why="three texts make three pairs, each once")

    def reference(signatures, n_bands):
        bands = signatures.reshape(len(signatures), n_bands, -1)
        return {(i, j) for i, j in combinations(range(len(bands)), 2) if (bands[i] == bands[j]).all(axis=1).any()}

    signatures = arrays(np.int64, st.tuples(st.integers(1, 4), st.just(4)), elements=st.integers(0, 2))
    for_all(answer, signatures, st.sampled_from([1, 2, 4]), equals=reference, max_examples=100)
    many = np.random.default_rng(0).integers(0, 2**31, size=(2_000, 8))
    many[1_999, :4] = many[7, :4]
    start = time.process_time()
    pairs = call_answer(answer, (many, 2), "near_duplicate_pairs(2,000 random rows, 2)")
    slow = time.process_time() - start > 3
    demand(not slow, "2,000 texts took more than 3 seconds: do you compare each with each other?")
    demand(pairs == {(7, 1_999)}, "wrong for 2,000 rows of which two agree in a band", got=len(pairs))


@exercise(
    "Walk through the text with a set of the n-grams seen so far. If the next one is in the set, which words are it?",
    "Keep a second set, of the places of repeated words: i up to i + n − 1 for an n-gram that was seen. A set counts "
    "each place once. Divide by the number of words.",
)
def repeated_share(answer):
    expect(answer, list("abcabc"), 2, equals=0.5, why="the last three words were there before")
    expect(answer, list("aaaa"), 2, equals=0.75, why="a-a at 1 and at 2 came before: words 1, 2 and 3, each once")
    expect(answer, list("abcd"), 1, equals=0.0, why="nothing is repeated")
    expect(answer, list("abxab"), 2, equals=0.4, why="a-b comes again: two of five words")
    expect(answer, ["a"], 2, equals=0.0, why="there is no run of two words")
    expect(answer, [], 1, equals=0.0, why="no words")
    words = st.lists(st.sampled_from("ab"), max_size=6)
    for_all(answer, words, st.integers(1, 3), equals=repeated_ngram_share_ref, max_examples=200)
    many = [str(word) for word in np.random.default_rng(0).integers(0, 10**9, size=25_000)]
    start = time.process_time()
    got = call_answer(answer, (many + many, 5), "repeated_share(25,000 words, and the same again, 5)")
    slow = time.process_time() - start > 3
    demand(not slow, "50,000 words took more than 3 seconds: do you look through a list for each n-gram?")
    demand(got == 0.5, "of 25,000 different words and the same again half are repeated", expected=0.5, got=got)
