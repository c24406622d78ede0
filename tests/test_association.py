"""Association tests and paired sentences: effects that are known, p-values by hand, and uniform where nothing is."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest

from tinygrad_llm.applications import SentenceEncoder
from tinygrad_llm.evaluate.association import (
    MIN_WORDS,
    Association,
    TooFewWords,
    association_scores,
    measure_associations,
    sentence_vectors,
    weat,
    word_vectors,
    words_of,
)
from tinygrad_llm.evaluate.association_words import WORD_TESTS, Words, WordTest
from tinygrad_llm.evaluate.paired_sentences import (
    TOPICS,
    log_likelihoods,
    measure_preferences,
    pair_differences,
    preference,
    pseudo_log_likelihoods,
    shared_places,
)
from tinygrad_llm.evaluate.permutation import holm, sign_flip_test, two_group_test
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig
from tinygrad_llm.text import BPETokenizer, CharTokenizer, WordPieceTokenizer

ALL_TEXT = " ".join(text for topic in TOPICS for i in range(10) for pair in topic.pairs(i) for text in pair)


def uniform_distance(p_values) -> float:
    """Kolmogorov and Smirnov's: the largest gap between the distribution found and the uniform one."""
    ordered = np.sort(p_values)
    n = len(ordered)
    return float(max((np.arange(1, n + 1) / n - ordered).max(), (ordered - np.arange(n) / n).max()))


def test_two_groups_by_enumeration():
    rng = np.random.default_rng(0)
    for n, m in ((2, 2), (3, 4), (5, 2)):
        x, y = rng.standard_normal(n) + 0.3, rng.standard_normal(m)
        both = np.concatenate([x, y])
        differences = [
            both[list(first)].mean() - np.delete(both, list(first)).mean() for first in combinations(range(n + m), n)
        ]
        at_least = sum(each >= x.mean() - y.mean() - 1e-12 for each in differences)
        p = two_group_test(x, y, rng)
        assert (p.value, p.n_arrangements, p.exact) == (at_least / len(differences), math.comb(n + m, n), True)


def test_sign_flips_by_enumeration():
    differences = np.random.default_rng(1).standard_normal(7) + 0.4
    sums = [float(np.dot(signs, differences)) for signs in product([-1, 1], repeat=7)]
    expected = sum(each >= differences.sum() - 1e-12 for each in sums) / 2**7
    assert sign_flip_test(differences, np.random.default_rng(0)).value == expected


@pytest.mark.parametrize("test", ["groups", "signs"])
def test_drawn_arrangements_come_near_to_all_of_them(test):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(8) + 0.5, rng.standard_normal(8)
    exact, drawn = (
        two_group_test(x, y, rng, 4000, limit) if test == "groups" else sign_flip_test(x - y, rng, 4000, limit)
        for limit in (10**6, 0)
    )
    assert exact.exact
    assert not drawn.exact
    assert abs(exact.value - drawn.value) < 4 * math.sqrt(exact.value / 4000)
    assert two_group_test(np.full(9, 5.0), np.zeros(9), rng, 99, 0).value >= 1 / 100  # never 0
    assert two_group_test(np.ones(3), np.ones(3), rng).value == 1


@pytest.mark.parametrize("exact_limit", [10**6, 0])
def test_p_values_are_uniform_where_there_is_no_difference(exact_limit):
    rng, groups, signs = np.random.default_rng(3), [], []
    for _ in range(300):
        x, y = rng.standard_normal((2, 5))
        groups.append(two_group_test(x, y, rng, 199, exact_limit).value)
        signs.append(sign_flip_test(x - y, rng, 199, exact_limit).value)
    # 1.63 / √n is reached by chance in 1 of 100; steps of the exact p-values add their size
    assert uniform_distance(groups) < 1.63 / math.sqrt(300) + 1 / 252
    assert uniform_distance(signs) < 1.63 / math.sqrt(300) + 1 / 32


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def vectors_with_effect(effect: float, n: int, rng: np.random.Generator):
    """Two targets and two attributes in 50 dimensions; a part of each target lies along the first axis."""
    a, b = rng.standard_normal((2, n, 50)) * 0.05
    a[:, 0] += 1
    b[:, 0] -= 1
    x, y = rng.standard_normal((2, n, 50)) * 0.3
    x[:, 0] += effect
    y[:, 0] -= effect
    return x, y, a, b


def test_effect_size_by_hand():
    x, y = np.array([[1.0, 0], [1, 1]]), np.array([[0, 1.0], [-1, 1]])
    a, b = np.array([[2.0, 0], [3, 0]]), np.array([[0, 1.0], [0, 5]])
    r = math.sqrt(0.5)
    np.testing.assert_allclose(association_scores(np.concatenate([x, y]), a, b), [1, 0, -1, -2 * r], atol=1e-12)
    scores = np.array([1, 0, -1, -2 * r])
    expected = (scores[:2].mean() - scores[2:].mean()) / scores.std(ddof=1)
    effect, p = weat(*(np.repeat(each, 4, axis=0) for each in (x, y, a, b)), rng=np.random.default_rng(0))
    repeated = np.repeat(scores, 4)
    assert effect.value == pytest.approx(expected * scores.std(ddof=1) / repeated.std(ddof=1))
    assert p.value <= 0.001


@pytest.mark.parametrize(("effect", "low", "high"), [(0.5, 1.5, 2.0), (0.0, -0.9, 0.9), (-0.5, -2.0, -1.5)])
def test_known_effects_are_found(effect, low, high):
    rng = np.random.default_rng(4)
    found, p = weat(*vectors_with_effect(effect, 8, rng), rng=rng, n_resamples=200)
    assert low <= found.value <= high
    assert found.low <= found.value + 0.3
    assert found.low < found.high <= 2
    assert (p.value < 0.001) == (effect > 0)
    assert (p.value > 0.999) == (effect < 0)


def test_intervals_of_no_effect_hold_zero_and_p_is_uniform():
    rng, inside, p_values = np.random.default_rng(5), 0, []
    for _ in range(60):
        found, p = weat(*vectors_with_effect(0.0, 5, rng), rng=rng, n_resamples=100)
        inside += found.low <= 0 <= found.high
        p_values.append(p.value)
    assert inside >= 50
    assert uniform_distance(p_values) < 1.63 / math.sqrt(60) + 1 / 252


def test_word_lists_are_sound():
    for test in WORD_TESTS:
        lists = [words for _, words in (*test.targets, *test.attributes)]
        assert [len(words) for words in lists] == [10] * 4
        assert len({word for words in lists for word in words}) == 40, test.name  # none in two lists of one test
    assert sum(test.is_control for test in WORD_TESTS) == 1


def test_only_whole_words_count_and_too_few_are_said():
    words = words_of()
    tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, "##s"])
    model = BERT(BERTConfig(tokenizer.vocab_size, 16, 2, 1, 2, 8, 16), np.random.default_rng(0)).eval()
    vectors = word_vectors(model, tokenizer, [*words, "roses", "zebra"])
    assert list(vectors) == words
    place = tokenizer.tokens.index("rose")
    np.testing.assert_array_equal(vectors["rose"], model.token_embedding.weight.data[place])
    rng, test = np.random.default_rng(0), WORD_TESTS[0]
    assert measure_associations(vectors, rng, [test])[0].n_words == (10, 10, 10, 10)
    few = {word: vectors[word] for word in words if word not in test.targets[0].words[: 11 - MIN_WORDS]}
    assert measure_associations(few, rng, [test])[0] == TooFewWords(test, (4, 10, 10, 10))
    sentences = sentence_vectors(SentenceEncoder(model, tokenizer), words)
    assert isinstance(measure_associations(sentences, rng, [test])[0], Association)


def test_words_of_a_bpe_vocabulary_stand_after_a_blank():
    tokenizer = BPETokenizer.train("the cat the cat the cat at", 270)
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, 1, 2, 8), np.random.default_rng(0)).eval()
    found = word_vectors(model, tokenizer, ["cat", "dog"])
    np.testing.assert_array_equal(found["cat"], model.token_embedding.weight.data[tokenizer.encode(" cat")[0]])
    assert list(found) == ["cat"]
    assert word_vectors(model, CharTokenizer.train("abc"), ["cat"]) == {}


def test_errors_of_association_tests():
    rng, x = np.random.default_rng(0), np.eye(3)
    with pytest.raises(ValueError, match="at least two words"):
        weat(x[:1], x, x, x, rng=rng)
    with pytest.raises(ValueError, match="no direction"):
        weat(np.zeros((2, 3)), x, x, x, rng=rng)
    with pytest.raises(ValueError, match="no effect size"):
        weat(x[:2] * 0 + [1, 0, 0], x[:2] * 0 + [1, 0, 0], x, x, rng=rng)
    with pytest.raises(ValueError, match="both groups"):
        two_group_test(np.zeros(0), np.ones(1), rng)
    with pytest.raises(ValueError, match="no differences"):
        sign_flip_test(np.zeros(0), rng)
    assert WordTest("t", (Words("a", ()),) * 2, (Words("b", ()),) * 2).is_control is False


def small_gpt():
    tokenizer = CharTokenizer.train(ALL_TEXT + "\n")
    return GPT(GPTConfig(tokenizer.vocab_size, 96, 1, 2, 8, init_std=0.5), np.random.default_rng(0)).eval(), tokenizer


def test_log_likelihoods_are_those_of_each_text_alone():
    model, tokenizer = small_gpt()
    texts = ["The fire is hot.", "It was cold.", "A"]
    texts = [text.replace("A", "T") for text in texts]
    for text, found in zip(texts, log_likelihoods(model, tokenizer, texts), strict=True):
        ids = tokenizer.encode("\n" + text)
        logits = model(np.array([ids[:-1]])).data[0].astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        assert found == pytest.approx(sum(log_p[i, token] for i, token in enumerate(ids[1:])), rel=1e-4)
    with pytest.raises(ValueError, match="this model sees 96"):
        log_likelihoods(model, tokenizer, ["The fire is hot." * 7])


def test_pseudo_log_likelihoods_hide_one_token_at_a_time():
    tokenizer = WordPieceTokenizer.train(ALL_TEXT, 300)
    model = BERT(BERTConfig(tokenizer.vocab_size, 64, 2, 1, 2, 8, 16, init_std=0.3), np.random.default_rng(0)).eval()
    rows = [tokenizer.encode("The fire is hot."), tokenizer.encode("Ice")]
    found = pseudo_log_likelihoods(model, tokenizer, rows, [[1, 3], [1]])
    for row, places, value in zip(rows, [[1, 3], [1]], found, strict=True):
        total = 0.0
        for place in places:
            ids = np.array([row])
            ids[0, place] = tokenizer.mask_id
            logits = model.masked_lm_logits(model(ids)[0, place]).data.astype(np.float64)
            total += logits[row[place]] - np.log(np.exp(logits).sum())
        assert value == pytest.approx(total, rel=1e-4)
    pair = TOPICS[1].pairs(0)[0]
    ids = [tokenizer.encode(text) for text in pair]
    first, second = shared_places(*ids)
    scores = pseudo_log_likelihoods(model, tokenizer, ids, [first, second])
    np.testing.assert_allclose(pair_differences(model, tokenizer, [pair]), [scores[0] - scores[1]], rtol=1e-5)
    model.masked_lm_head = None
    with pytest.raises(ValueError, match="no masked-LM head"):
        pair_differences(model, tokenizer, [pair])


def test_pairs_are_balanced_and_differ_in_the_group_alone():
    pairs = TOPICS[1].pairs(0)
    assert pairs[0] == ("The engineer said that he would be late.", "The engineer said that she would be late.")
    assert pairs[1] == ("The nurse said that she would be late.", "The nurse said that he would be late.")
    for topic in TOPICS:
        assert len({item for contrast in topic.contrasts for item in contrast}) == 2 * len(topic.contrasts)
        for i in range(len(topic.contrasts)):
            assert len(topic.pairs(i)) == 2 * len(topic.templates)


def test_a_liking_for_one_group_is_no_stereotype():
    rng = np.random.default_rng(6)
    liking = np.tile([5.0, -5.0], (10, 3, 1))  # "he" scores higher, whoever it is about
    noise = rng.standard_normal((10, 3, 2)) * 0.1
    found = preference(TOPICS[1], liking + noise, rng)
    assert found.nats.low < 0 < found.nats.high
    assert 0.01 < found.p_value.value < 0.99
    found = preference(TOPICS[1], liking + noise + 0.3, rng)  # and besides a small stereotype
    assert found.nats.low > 0.2
    assert found.share.value > 0.9
    assert found.p_value.value == 1 / 1024
    assert found.n_pairs == 60


def test_preferences_of_a_model_are_measured_for_all_topics():
    found = measure_preferences(*small_gpt(), np.random.default_rng(0), TOPICS[:2])
    assert [each.topic.name for each in found] == [topic.name for topic in TOPICS[:2]]
    assert all(0 <= each.share.low <= each.share.value <= each.share.high <= 1 for each in found)
