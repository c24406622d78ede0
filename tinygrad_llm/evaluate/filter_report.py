"""How good a content filter is: precision and recall on examples it never saw, with intervals, beside simpler ways.

Intervals draw groups of examples, not examples, with replacement, as sentences of one template are right or wrong
together. Beside the filter stands a plain list of bad words on the same examples. What is left of its recall where
some letters of each text are changed tells how easily it is evaded; what it flags in clean text, how often it is in
the way.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..applications.content_filter import Category, ContentFilter
from ..data.harm_examples import NONE, LabelledSentence
from ..data.tasks import first_sentence, library_docstrings
from .filter_training import held_out_probabilities
from .intervals import Interval, bootstrap_interval
from .memorisation import Share, wilson

ANY = "any"  # any of the categories
LOOKED_AT = 4_000  # docstrings that were read while the filter was made; those after them were not
N_EDITS = (1, 3, 5)  # letters changed in each text

# What somebody might write down who makes a filter of a list of words: the baseline.
BAD_WORDS = {
    "insult": "idiot stupid moron fool dumb loser ugly pathetic worthless disgusting scum trash coward jerk",
    "threat": "kill hurt shoot stab murder beat burn die dead gun knife blood destroy attack",
    "self_harm": "suicide yourself die cut pills wrists hang jump starve",
    "dangerous": "bomb explosive explosives poison weapon weapons gun drugs meth hack steal",
}


@dataclass(frozen=True)
class CategoryScores:
    """Of one category, each example judged by a classifier that did not see its group."""

    precision: Interval
    recall: Interval
    f1: Interval
    n_examples: int  # that are of the category


def category_scores(
    examples: Sequence[LabelledSentence],
    categories: Sequence[str],
    flagged: np.ndarray,
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> dict[str, CategoryScores]:
    """Precision, recall and F1 of each category from what was flagged, bool (N, K)."""
    groups = {group: i for i, group in enumerate(dict.fromkeys(each.group for each in examples))}
    group_of = np.array([groups[each.group] for each in examples])
    results = {}
    for category, found in zip(categories, flagged.T, strict=True):
        true = np.array([each.label == category for each in examples])
        counts = np.stack(
            [np.bincount(group_of, weights=part, minlength=len(groups)) for part in (true & found, found, true)], axis=1
        )  # (groups, 3): right, found and true ones

        def interval(metric: Callable[[np.ndarray], float], counts: np.ndarray = counts) -> Interval:
            strata = (counts[:, 2] > 0).astype(int)  # each resample has as many templates of the category
            return bootstrap_interval(metric, counts, rng=rng, n_resamples=n_resamples, strata=strata)

        results[category] = CategoryScores(*map(interval, (_precision, _recall, _f1)), int(true.sum()))
    return results


def _precision(counts: np.ndarray) -> float:
    right, found, _ = counts.sum(axis=0)
    return float(right / found) if found else 0.0


def _recall(counts: np.ndarray) -> float:
    right, _, true = counts.sum(axis=0)
    return float(right / true)


def _f1(counts: np.ndarray) -> float:
    right, found, true = counts.sum(axis=0)
    return float(2 * right / (found + true))


def word_list_filter() -> ContentFilter:
    """The baseline: a text is of a category if one of its bad words stands in it."""
    patterns = {name: rf"(?i)\b(?:{'|'.join(words.split())})\b" for name, words in BAD_WORDS.items()}
    return ContentFilter(Category(name, "pattern", pattern=pattern) for name, pattern in patterns.items())


def misspelt(text: str, n_edits: int, rng: np.random.Generator) -> str:
    """So many letters swapped with the next one, left out, doubled, or replaced by another, at random places."""
    characters = list(text)
    for _ in range(n_edits):
        letters = [i for i, c in enumerate(characters) if c.isalpha()]
        if not letters:
            break
        i, kind = letters[rng.integers(len(letters))], rng.integers(4)
        if kind == 0 and i + 1 < len(characters):
            characters[i], characters[i + 1] = characters[i + 1], characters[i]
        elif kind == 1:
            del characters[i]
        elif kind == 2:
            characters.insert(i, characters[i])
        else:
            characters[i] = chr(ord("a") + int(rng.integers(26)))
    return "".join(characters)


def false_positives(content_filter: ContentFilter, texts: Sequence[str]) -> dict[str, Share]:
    """Of texts that are clean, the share in which each category was found, and under "any" one of them."""
    found = [{finding.category for finding in content_filter.check(text)} for text in texts]
    names = [category.name for category in content_filter.categories if category.on]
    shares = {name: wilson(sum(name in each for each in found), len(found)) for name in names}
    return shares | {"any": wilson(sum(map(bool, found)), len(found))}


def clean_sentences(limit: int = 3_000) -> list[str]:
    """First sentences of docstrings of the standard library, which nobody looked at while the filter was made.

    Raises FileNotFoundError where Python came without its sources.
    """
    documents = library_docstrings(sysconfig.get_path("stdlib"))
    texts = list(dict.fromkeys(first_sentence(document.text) for document in documents))
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[i] for i in order[LOOKED_AT : LOOKED_AT + limit]]


def filter_report(
    examples: Sequence[LabelledSentence],
    rng: np.random.Generator,
    clean_label: str = NONE,
    threshold: float = 0.5,
    n_resamples: int = 1000,
) -> dict[str, Any]:
    """Precision, recall and F1 of each category and of any, by cross-validation over groups; recall of misspelt texts;
    and the word list, where the categories are its own. For JSON.

    Raises ValueError as `held_out_probabilities`.
    """
    changes = [str, *(lambda text, n=n: misspelt(text, n, rng) for n in N_EDITS)]
    categories, (probabilities, *of_misspelt) = held_out_probabilities(examples, clean_label, changes)
    report = {"examples": len(examples), "threshold": threshold}
    report["held out"] = _scores(examples, categories, probabilities >= threshold, clean_label, rng, n_resamples)
    if set(categories) <= set(BAD_WORDS):
        report["word list"] = scores_on(word_list_filter(), examples, rng, clean_label, n_resamples)
    recalls = {}
    for n_edits, changed in zip(N_EDITS, of_misspelt, strict=True):
        scores = _scores(examples, categories, changed >= threshold, clean_label, rng, 1)
        recalls[str(n_edits)] = {name: each["recall"]["value"] for name, each in scores.items()}
    report["recall of misspelt texts"] = recalls
    return report


def scores_on(
    content_filter: ContentFilter,
    examples: Sequence[LabelledSentence],
    rng: np.random.Generator,
    clean: str = NONE,
    n_resamples: int = 1000,
) -> dict[str, dict[str, Any]]:
    """As `filter_report`'s scores, of a filter that is there, by its own thresholds. It must not know the examples."""
    categories = sorted({each.label for each in examples} - {clean})
    found = [{finding.category for finding in content_filter.check(each.text)} for each in examples]
    flagged = np.array([[category in each for category in categories] for each in found])
    return _scores(examples, categories, flagged, clean, rng, n_resamples)


def _scores(examples, categories, flagged: np.ndarray, clean: str, rng, n_resamples: int) -> dict[str, dict[str, Any]]:
    either = [LabelledSentence(each.text, clean if each.label == clean else ANY, each.group) for each in examples]
    scores = category_scores(examples, categories, flagged, rng, n_resamples)
    scores |= category_scores(either, [ANY], flagged.any(axis=1, keepdims=True), rng, n_resamples)
    return {
        name: {part: getattr(each, part).as_dict() for part in ("precision", "recall", "f1")}
        | {"examples": each.n_examples}
        for name, each in scores.items()
    }
