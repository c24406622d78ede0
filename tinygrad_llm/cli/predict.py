"""`tinygrad-llm classify`, `grade`, `answer`, `embed` and `search`: what a model says of texts, one line for each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..applications import SearchIndex, SentenceEncoder
from ..data import embedded_corpus
from ..data.examples import SpanExample, TextExample
from ..data.tasks import first_sentence
from ..hub import Pooling
from ..train.fine_tuned import FineTuned, load_fine_tuned, open_model
from .batch_files import for_each, read_inputs, show


def predict(arguments: argparse.Namespace) -> int:
    """Of classify, grade and answer."""
    examples = read_inputs(arguments)
    fine_tuned = load_fine_tuned(arguments.source)
    if fine_tuned.task.kind != arguments.command:
        kind = fine_tuned.task.kind
        raise ValueError(
            f"{str(arguments.source)!r} was fine-tuned to {kind}, not to {arguments.command}: use tinygrad-llm {kind}"
        )
    facts_of = {"classify": _classes, "grade": _grades, "answer": _answers}[arguments.command]
    for_each(arguments, examples, lambda some: facts_of(fine_tuned, some))
    return 0


def _classes(fine_tuned: FineTuned, examples: Sequence[TextExample]) -> Iterator[dict[str, Any]]:
    probabilities = fine_tuned.predict(examples)
    for example, name, row in zip(examples, fine_tuned.task.names(probabilities), probabilities, strict=True):
        yield {"label": name, "probability": round(float(row.max()), 4)} | _text_of(example)


def _grades(fine_tuned: FineTuned, examples: Sequence[TextExample]) -> Iterator[dict[str, Any]]:
    for example, found in zip(examples, fine_tuned.predict(examples), strict=True):
        yield {"number": round(float(found), 4)} | _text_of(example)


def _answers(fine_tuned: FineTuned, examples: Sequence[SpanExample]) -> Iterator[dict[str, Any]]:
    for example, answer in zip(examples, fine_tuned.predict(examples), strict=True):
        found = {"answer": answer.text, "probability": round(answer.probability, 4), "start": answer.start}
        yield found | {"text": example.question}


def _text_of(example: TextExample) -> dict[str, str]:
    return {"text": example.text} | ({} if example.pair is None else {"pair": example.pair})


def embed(arguments: argparse.Namespace) -> int:
    examples, encoder = read_inputs(arguments), sentence_encoder(arguments.source)
    arguments.json = True

    def vectors(some: Sequence[TextExample]) -> Iterator[dict[str, Any]]:
        texts = [example.text for example in some]
        for text, vector in zip(texts, encoder.encode(texts), strict=True):
            yield {"text": text, "vector": [round(float(number), 6) for number in vector]}

    for_each(arguments, examples, vectors)
    return 0


def search(arguments: argparse.Namespace) -> int:
    if arguments.k < 1:
        raise ValueError(f"-k must be at least 1, not {arguments.k}")
    queries = [example.text for example in read_inputs(arguments)]
    if arguments.corpus:
        lines = Path(arguments.corpus).read_text(encoding="utf-8").splitlines()
        entries = [(line, f"{arguments.corpus}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    else:
        documents = embedded_corpus("docstrings")
        entries = list({first_sentence(document.text): document.source for document in documents}.items())
    index = SearchIndex(sentence_encoder(arguments.source), [text for text, _ in entries])
    for query in queries:
        for hit in index.search(query, arguments.k):
            facts = {"score": round(hit.score, 4), "source": entries[hit.number][1], "text": hit.text}
            show(facts | ({"query": query} if arguments.json else {}), arguments.json)
    return 0


def sentence_encoder(folder: str) -> SentenceEncoder:
    """Of a sentence-transformers folder with its pooling; of any other BERT, the mean of its vectors."""
    if (Path(folder) / "modules.json").exists():
        return SentenceEncoder.from_pretrained(folder)
    return SentenceEncoder(*open_model(folder), Pooling())
