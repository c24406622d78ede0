"""How good answers in words are: exact match and F1 over words, as the SQuAD benchmark defines them.

Before answers are compared, `normalize_answer` makes them lower-case and removes ASCII punctuation, the English
articles a, an, the, and repeated white space. With several gold answers, the best match counts. No gold answer, or an
empty one, means that the text does not answer the question: then only an empty prediction is right.

Where one of the two has no words left, F1 is 1 if neither has any and 0 otherwise. That is version 2's rule; version
1.1, without empty answers, is the same elsewhere. Scores here go from 0 to 1, the benchmark's tables from 0 to 100.

Sources: P. Rajpurkar and others, "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), section 6.1;
P. Rajpurkar, R. Jia, P. Liang, "Know What You Don't Know" (2018).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .inputs import same_length

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """What of an answer is compared.

    >>> normalize_answer("The  Eiffel-Tower, in Paris!")
    'eiffeltower in paris'
    """
    if not isinstance(text, str):
        raise TypeError(f"an answer must be a str, got {type(text).__name__}: {text!r:.40}")
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def exact_match(prediction: str, gold_answers: Sequence[str]) -> float:
    """1.0 if the prediction is one of the gold answers after `normalize_answer`, else 0.0.

    >>> exact_match("the Loire.", ["Loire", "Loire river"])
    1.0

    Raises TypeError if gold_answers is a str instead of a list of them, or an answer is no str.
    """
    return _best(lambda predicted, gold: float(predicted == gold), prediction, gold_answers)


def token_f1(prediction: str, gold_answers: Sequence[str]) -> float:
    """The F1 of the words in common, the greatest over the gold answers, after `normalize_answer`.

    A word counts as often as it stands in both: precision = common / predicted, recall = common / gold.

    >>> token_f1("in the city of Paris", ["Paris", "city of Paris"])      # 3 of 4 words right, 3 of 3 found
    0.8571428571428571

    Raises as `exact_match`.
    """
    return _best(_word_f1, prediction, gold_answers)


@dataclass(frozen=True)
class SpanScores:
    """Scores of each question, (N,), and their means. A mean over no question is nan."""

    exact_matches: np.ndarray
    f1s: np.ndarray
    has_answer: np.ndarray  # bool: whether there is a gold answer that is not empty

    @property
    def exact_match(self) -> float:
        return _mean(self.exact_matches)

    @property
    def f1(self) -> float:
        return _mean(self.f1s)

    @property
    def answerable_f1(self) -> float:
        """Over the questions that have an answer: version 2 calls it HasAns_f1."""
        return _mean(self.f1s[self.has_answer])

    @property
    def unanswerable_accuracy(self) -> float:
        """Over the others, the share that was left empty; it is their exact match and F1 too: NoAns_f1."""
        return _mean(self.f1s[~self.has_answer])


def span_scores(predictions: Sequence[str], gold_answers: Sequence[Sequence[str]]) -> SpanScores:
    """The scores of N predictions against N lists of gold answers; an empty list means that there is no answer.

    >>> span_scores(["Paris", ""], [["paris", "Paris, France"], []]).f1
    1.0

    Raises ValueError for no questions or unequal lengths, and as `exact_match`.
    """
    if isinstance(predictions, str):
        raise TypeError("span_scores: predictions must be a list with one str for each question, got one str")
    same_length("span_scores", predictions=predictions, gold_answers=gold_answers)
    questions = list(zip(predictions, gold_answers, strict=True))
    return SpanScores(
        np.array([exact_match(*question) for question in questions]),
        np.array([token_f1(*question) for question in questions]),
        np.array([any(map(normalize_answer, gold)) for gold in gold_answers]),
    )


def _best(score: Callable[[str, str], float], prediction: str, gold_answers: Sequence[str]) -> float:
    if isinstance(gold_answers, str):
        raise TypeError(f"gold_answers must be a list of answers, got the str {gold_answers!r:.40}: put it in a list")
    gold = [answer for answer in map(normalize_answer, gold_answers) if answer] or [""]
    predicted = normalize_answer(prediction)
    return max(score(predicted, answer) for answer in gold)


def _word_f1(predicted: str, gold: str) -> float:
    predicted_words, gold_words = predicted.split(), gold.split()
    if not predicted_words or not gold_words:
        return float(predicted_words == gold_words)
    n_common = (Counter(predicted_words) & Counter(gold_words)).total()
    return 2 * n_common / (len(predicted_words) + len(gold_words))


def _mean(scores: np.ndarray) -> float:
    return float(scores.mean()) if len(scores) else float("nan")
