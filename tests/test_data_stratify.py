"""The split of examples: complete, apart, in proportion, and the same on every run."""

import hashlib
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import SpanExample, TextExample, label_of, module_of, split_examples
from tinygrad_llm.data.blocks import Blocks, join_similar_ref
from tinygrad_llm.data.near_duplicates import NearDuplicates

PARTS = ("train", "validation", "test")


def noise(number, n_words=20):
    """Words that no other number has."""
    return " ".join(hashlib.sha1(f"{number} {k}".encode()).hexdigest()[:8] for k in range(n_words))


def texts_of(counts):
    """counts[c] examples of class c, all their texts different."""
    return [TextExample(noise(f"{c} {i}"), label=str(c)) for c, n in enumerate(counts) for i in range(n)]


def assert_complete(split, examples):
    found = [example for part in PARTS for example in getattr(split, part)]
    assert Counter(found) == Counter(examples)
    place = {example: index for index, example in enumerate(examples)}
    for part in PARTS:
        places = [place[example] for example in getattr(split, part)]
        assert places == sorted(places)


FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.7, 0.3, 0), (0.2, 0.2, 0.6), (1.0, 0, 0)])


@given(st.lists(st.integers(3, 40), min_size=1, max_size=4), FRACTIONS, st.integers(0, 99))
def test_each_class_gets_its_fractions(counts, fractions, seed):
    examples = texts_of(counts)
    split = split_examples(examples, fractions, seed, stratify=label_of)
    assert_complete(split, examples)
    for c, n in enumerate(counts):
        got = [sum(example.label == str(c) for example in getattr(split, part)) for part in PARTS]
        wanted = [max(1, fraction * n) if fraction else 0 for fraction in fractions]
        wanted[int(np.argmax(fractions))] -= sum(wanted) - n
        assert np.abs(np.array(got) - wanted).max() < 1
        assert all((size > 0) == (fraction > 0) for size, fraction in zip(got, fractions, strict=True))


@given(st.lists(st.integers(1, 12), min_size=3, max_size=20), FRACTIONS, st.integers(0, 99))
def test_groups_stay_whole(sizes, fractions, seed):
    examples = [
        TextExample(noise(f"{g} {i}"), source=f"x:{g}.{i}") for g, size in enumerate(sizes) for i in range(size)
    ]
    split = split_examples(examples, fractions, seed, group=module_of)
    assert_complete(split, examples)
    parts = [set(map(module_of, getattr(split, part))) for part in PARTS]
    assert sum(map(len, parts)) == len(sizes)
    assert all(bool(part) == (fraction > 0) for part, fraction in zip(parts, fractions, strict=True))
    for part, fraction in zip(PARTS, fractions, strict=True):
        assert len(getattr(split, part)) <= fraction * len(examples) + 2 * max(sizes)


@given(st.lists(st.integers(0, 29), min_size=12, max_size=60).filter(lambda ids: len(set(ids)) >= 3), st.integers(0, 9))
def test_copies_and_near_duplicates_stay_together(ids, seed):
    examples = [TextExample(f"{noise(n, 40)} {i % 3}".upper() + " " * i, source=f"x:{n}") for i, n in enumerate(ids)]
    split = split_examples(examples, (0.5, 0.25, 0.25), seed)
    assert_complete(split, examples)
    assert sum(len(set(map(module_of, getattr(split, part)))) for part in PARTS) == len(set(ids))
    loose = split_examples(examples, (0.5, 0.25, 0.25), seed, near_duplicate_threshold=None)
    parts = [{" ".join(example.text.split()) for example in getattr(loose, part)} for part in PARTS]
    assert sum(map(len, parts)) == len(set.union(*parts))


@given(st.permutations(range(40)), st.integers(0, 9))
def test_the_choice_does_not_depend_on_the_order(order, seed):
    examples = [TextExample(noise(n // 2), str(n), label=str(n % 3), source=f"x:{n // 5}") for n in range(40)]
    one = split_examples(examples, seed=seed, stratify=label_of, group=module_of)
    other = split_examples([examples[n] for n in order], seed=seed, stratify=label_of, group=module_of)
    assert [set(getattr(one, part)) for part in PARTS] == [set(getattr(other, part)) for part in PARTS]


def test_a_near_duplicate_of_any_member_of_a_group_counts():
    """Each text of the first group but its first has a near copy in a group of its own; two strangers make up parts."""
    examples = [TextExample(noise(n, 40), source="x:0") for n in range(4)]
    examples += [TextExample(noise(n, 40) + " more", source=f"x:{n}") for n in (1, 2, 3)]
    examples += [TextExample(noise(n), source=f"x:{n}") for n in (8, 9)]
    split = split_examples(examples, group=module_of)
    assert split.train == examples[:7]


def test_another_seed_is_another_split():
    examples = texts_of([50])
    assert split_examples(examples, seed=1) == split_examples(examples, seed=1) != split_examples(examples, seed=2)


@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.8, 1.0]))
def test_similar_texts_are_found_like_by_hand(seed, threshold):
    """Edited copies, and copies of copies: bands and buckets find the pairs that a comparison of all with all finds."""
    rng = np.random.default_rng(seed)
    texts = [noise(n, 60).split() for n in range(4)]
    for _ in range(20):
        words = list(texts[rng.integers(len(texts))])
        words[rng.integers(len(words))] = str(rng.integers(10**9))
        texts.append(words)
    texts = [" ".join(words) for words in texts]
    blocks = Blocks(len(texts))
    blocks.join_similar(texts, threshold)
    signatures = np.array([NearDuplicates().signature(text) for text in texts])
    assert blocks.members() == join_similar_ref(signatures, threshold)


def test_questions_about_one_context_stay_together():
    examples = [SpanExample(f"q{i}", noise(i // 4), (), None) for i in range(40)]
    split = split_examples(examples, (0.5, 0.3, 0.2))
    contexts = [{example.context for example in getattr(split, part)} for part in PARTS]
    assert [len(part) for part in contexts] == [5, 3, 2]


def test_splits_that_cannot_be():
    with pytest.raises(ValueError, match="there are no examples to split"):
        split_examples([])
    for fractions in ((0.8, 0.1), (0.8, 0.1, 0.2), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (math.nan, 0.5, 0.5)):
        with pytest.raises(ValueError, match="fractions must be the shares of train, validation and test"):
            split_examples(texts_of([30]), fractions)
    with pytest.raises(ValueError, match="class '1' has 2 examples, too few for 3 parts: give more examples"):
        split_examples(texts_of([30, 2]), stratify=label_of)
    split = split_examples(texts_of([30, 2]), (0.9, 0.1, 0), stratify=label_of)
    assert [sum(example.label == "1" for example in part) for part in (split.train, split.validation)] == [1, 1]
    message = r"no example is left for validation and test: the 9 there are make 1 block that must stay together"
    with pytest.raises(ValueError, match=message):
        split_examples(texts_of([9]), group=label_of)
    copies = [*texts_of([30]), *[TextExample("a b", label="1")] * 4, TextExample("c d", label="1")]
    with pytest.raises(ValueError, match=r"no example of class '1' is left for .*: the 5 there are make 2 blocks"):
        split_examples(copies, stratify=label_of)
    graded = [TextExample(noise(i), label=i / 1000) for i in range(1000)]
    with pytest.raises(ValueError, match=r"class 0\.0 has 1 example, too few .* that puts several classes together"):
        split_examples(graded, stratify=label_of)
    split = split_examples(graded, stratify=lambda example: round(example.label, 1))
    assert np.mean([example.label for example in split.test]) == pytest.approx(0.5, abs=0.03)
