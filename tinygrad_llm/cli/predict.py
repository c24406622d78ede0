"""`tinygrad-llm classify`, `grade`, `answer`, `embed` and `search`: what a model says of texts, one line for each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..applications import SearchIndex, SentenceEncoder
from ..data import embedded_corpus
from ..data.examples import SpanExample, TextExample
from ..data.tasks import first_sentence
from ..hub import Pooling
from ..train.fine_tuned import FineTuned, load_fine_tuned, open_model


def predict(arguments: argparse.Namespace) -> int:
    """Of classify, grade and answer."""
    texts = read_texts(arguments)
    fine_tuned = load_fine_tuned(arguments.source)
    if fine_tuned.task.kind != arguments.command:
        kind = fine_tuned.task.kind
        raise ValueError(
            f"{str(arguments.source)!r} was fine-tuned to {kind}, not to {arguments.command}: use tinygrad-llm {kind}"
        )
    for facts in {"classify": _classes, "grade": _grades, "answer": _answers}[arguments.command](
        fine_tuned, texts, arguments
    ):
        show(facts, arguments.json)
    return 0


def _classes(fine_tuned: FineTuned, texts: list[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    probabilities = fine_tuned.predict([TextExample(text, arguments.pair) for text in texts])
    for text, name, row in zip(texts, fine_tuned.task.names(probabilities), probabilities, strict=True):
        yield {"label": name, "probability": round(float(row.max()), 4), "text": text}


def _grades(fine_tuned: FineTuned, texts: list[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    numbers = fine_tuned.predict([TextExample(text, arguments.pair) for text in texts])
    for text, found in zip(texts, numbers, strict=True):
        yield {"number": round(float(found), 4), "text": text}


def _answers(fine_tuned: FineTuned, texts: list[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    context = Path(arguments.context).read_text(encoding="utf-8")
    for text, answer in zip(texts, fine_tuned.predict([SpanExample(t, context, (), None) for t in texts]), strict=True):
        yield {"answer": answer.text, "probability": round(answer.probability, 4), "start": answer.start, "text": text}


def embed(arguments: argparse.Namespace) -> int:
    texts = read_texts(arguments)
    for text, vector in zip(texts, sentence_encoder(arguments.source).encode(texts), strict=True):
        show({"text": text, "vector": [round(float(number), 6) for number in vector]}, as_json=True)
    return 0


def search(arguments: argparse.Namespace) -> int:
    if arguments.k < 1:
        raise ValueError(f"-k must be at least 1, not {arguments.k}")
    queries = read_texts(arguments)
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


def read_texts(arguments: argparse.Namespace) -> list[str]:
    texts = arguments.texts or [line.rstrip("\n") for line in sys.stdin]
    if not texts:
        raise ValueError("there is no text: give one, or write lines to standard input")
    return texts


def show(facts: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(facts, ensure_ascii=False) if as_json else "  ".join(str(value) for value in facts.values()))
