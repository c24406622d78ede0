"""The kinds of task to fine-tune for: how examples become targets, which head, what is predicted, and how it is scored.

    classify    TextExample, its label a class      TextClassifier    macro-F1
    grade       TextExample, its label a number     TextRegressor     1 − root mean squared error / std
    answer      SpanExample                         SpanExtractor     F1 of the words, as SQuAD has it

All have the same four methods, so that one loop trains, and one report evaluates, any of them. The score is what early
stopping goes by: the higher the better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..data.examples import SpanExample, TextExample, class_names
from ..data.renaming import name_words, renamed
from ..evaluate import f1_score, root_mean_squared_error, span_scores
from ..models.heads import SpanExtractor, TextClassifier, TextRegressor
from ..nn import Module
from .span_rows import SpanRow, answer_texts, span_batches, span_rows
from .text_batches import EncodedText, Tokenizer, encode_text, ordered_batches, training_batches


def encode_examples(tokenizer: Tokenizer, examples: Sequence[TextExample], max_seq_len: int) -> list[EncodedText]:
    return [encode_text(tokenizer, example.text, example.pair, max_seq_len) for example in examples]


class Classify:
    """Which of `classes`. Raises ValueError for fewer than two."""

    kind = "classify"

    def __init__(self, classes: Sequence[str], balanced: bool = False):
        if len(classes) < 2:
            raise ValueError(f"classification needs at least two classes, not {list(classes)}")
        self.classes, self.balanced = list(classes), balanced

    @classmethod
    def of(cls, examples: Sequence[TextExample], balanced: bool = False) -> Classify:
        """With `balanced` each class counts as much as any other in the loss, however rare it is."""
        return cls(class_names(examples), balanced)

    def settings(self) -> dict[str, Any]:
        return {"classes": self.classes}

    def new_model(self, base, examples: Sequence[TextExample], dropout: float, rng: np.random.Generator) -> Module:
        weights = None
        if self.balanced:
            counts = np.bincount(self.numbers(examples), minlength=len(self.classes))
            weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return TextClassifier(base, len(self.classes), dropout, weights, rng)

    def numbers(self, examples: Sequence[TextExample]) -> list[int]:
        """Raises ValueError for a label that was not there when the classes were made."""
        number_of = {name: number for number, name in enumerate(self.classes)}
        unknown = sorted({str(example.label) for example in examples} - set(number_of))
        if unknown:
            raise ValueError(f"the label {unknown[0]!r} is none of the classes {', '.join(self.classes)}")
        return [number_of[example.label] for example in examples]

    def batches(self, tokenizer, examples, max_seq_len: int, batch_size: int, rng: np.random.Generator):
        rows = encode_examples(tokenizer, examples, max_seq_len)
        return training_batches(rows, self.numbers(examples), batch_size, rng)

    def predict(self, model: Module, tokenizer, examples: Sequence[TextExample], max_seq_len: int) -> np.ndarray:
        """Probabilities (n, classes)."""
        logits = _text_outputs(model, tokenizer, examples, max_seq_len, len(self.classes))
        logits = logits - logits.max(axis=1, keepdims=True)
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def names(self, probabilities: np.ndarray) -> list[str]:
        """The likeliest class of each row."""
        return [self.classes[number] for number in probabilities.argmax(axis=1)]

    def score(self, examples: Sequence[TextExample], probabilities: np.ndarray) -> float:
        true = [example.label for example in examples]
        return float(f1_score(true, self.names(probabilities), average="macro"))


class Grade:
    """A number. `mean` and `std` are the training examples'."""

    kind = "grade"

    def __init__(self, mean: float, std: float):
        self.mean, self.std = mean, std

    @classmethod
    def of(cls, examples: Sequence[TextExample]) -> Grade:
        """Raises ValueError where all numbers are the same: there is nothing to learn."""
        numbers = np.array([example.label for example in examples], float)
        if len(numbers) == 0 or numbers.std() == 0:
            raise ValueError("the numbers of the training examples are all the same, so there is nothing to learn")
        return cls(float(numbers.mean()), float(numbers.std()))

    def settings(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std}

    def new_model(self, base, examples: Sequence[TextExample], dropout: float, rng: np.random.Generator) -> Module:
        return TextRegressor(base, self.mean, self.std, dropout, rng)

    def batches(self, tokenizer, examples, max_seq_len: int, batch_size: int, rng: np.random.Generator):
        rows = encode_examples(tokenizer, examples, max_seq_len)
        return training_batches(rows, [float(example.label) for example in examples], batch_size, rng)

    def predict(self, model: Module, tokenizer, examples: Sequence[TextExample], max_seq_len: int) -> np.ndarray:
        """Numbers (n,)."""
        return _text_outputs(model, tokenizer, examples, max_seq_len, 1)[:, 0]

    def score(self, examples: Sequence[TextExample], numbers: np.ndarray) -> float:
        """1 is without error, 0 as good as about the mean: like the other tasks' scores, so that a mean of them counts
        each."""
        return 1 - root_mean_squared_error([example.label for example in examples], numbers) / self.std


class Answer(NamedTuple):
    """What was found for a question."""

    text: str
    start: int  # in the context, in characters
    probability: float  # of this span, among all of the same window


class FindAnswer:
    """Where in the context the answer stands.

    rename: for questions about signatures; each time an example is read, its names are others (data/renaming.py)
    by_words: an answer begins and ends where a word does, and words that the question has too are in segment 2
    """

    kind = "answer"

    def __init__(self, rename: bool = False, by_words: bool = False):
        self.rename, self.by_words = rename, by_words

    @classmethod
    def of(cls, examples: Sequence[SpanExample], rename: bool = False, by_words: bool = False) -> FindAnswer:
        return cls(rename, by_words)

    def settings(self) -> dict[str, Any]:
        return {"by_words": self.by_words}

    def new_model(self, base, examples: Sequence[SpanExample], dropout: float, rng: np.random.Generator) -> Module:
        """Raises ValueError for `by_words` and a base without a third segment."""
        if self.by_words and getattr(base.config, "n_segments", 0) < 3:
            raise ValueError("by_words needs a BERT with a third segment, for the words that the question has too")
        return SpanExtractor(base, dropout, rng)

    def batches(self, tokenizer, examples, max_seq_len: int, batch_size: int, rng: np.random.Generator):
        if not self.rename:
            return span_batches(self._rows(tokenizer, examples, max_seq_len, True), batch_size, rng)
        return self._renamed_batches(tokenizer, examples, max_seq_len, batch_size, rng)

    def _renamed_batches(self, tokenizer, examples, max_seq_len: int, batch_size: int, rng: np.random.Generator):
        words = name_words(examples)
        while True:
            rows = self._rows(tokenizer, [renamed(each, words, rng) for each in examples], max_seq_len, True)
            yield from islice(span_batches(rows, batch_size, rng), math.ceil(len(rows) / batch_size))

    def _rows(self, tokenizer, examples, max_seq_len: int, for_training: bool) -> list[SpanRow]:
        return span_rows(tokenizer, examples, max_seq_len, for_training, self.by_words)

    def predict(self, model: Module, tokenizer, examples: Sequence[SpanExample], max_seq_len: int) -> list[Answer]:
        rows = self._rows(tokenizer, examples, max_seq_len, False)
        return [Answer(*found) for found in answer_texts(model, rows, examples)]

    def score(self, examples: Sequence[SpanExample], answers: Sequence[Answer]) -> float:
        return span_scores([answer.text for answer in answers], [example.answers for example in examples]).f1


TASKS = {task.kind: task for task in (Classify, Grade, FindAnswer)}


def _text_outputs(model: Module, tokenizer, examples, max_seq_len: int, n_outputs: int) -> np.ndarray:
    """What the model makes of each text, (n, n_outputs), in the order of the examples."""
    rows = encode_examples(tokenizer, examples, max_seq_len)
    outputs = np.zeros((len(rows), n_outputs), np.float32)
    with no_grad():
        for numbers, batch in ordered_batches(rows):
            found = model(batch.ids, batch.attention_mask, batch.segments).data
            outputs[numbers] = found.reshape(len(numbers), n_outputs)
    return outputs
