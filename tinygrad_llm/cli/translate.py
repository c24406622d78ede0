"""`tinygrad-llm translate`: what an encoder-decoder writes for each text: a translation, a summary, a name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from ..applications import translate as translations
from ..data.examples import TextExample
from ..models import Seq2Seq
from ..train.fine_tuned import open_model
from .batch_files import for_each, read_inputs


def translate(arguments: argparse.Namespace) -> int:
    if arguments.beams == 1 and arguments.length_penalty is not None:
        raise ValueError("--length-penalty is about beam search: give --beams 2 or more too, or leave it out")
    examples = read_inputs(arguments)
    model, tokenizer = open_model(arguments.source)
    if not isinstance(model, Seq2Seq):
        raise ValueError(
            f"{arguments.source!r} holds a {type(model).__name__}, which does not translate: give the folder of an "
            "encoder-decoder, which `tinygrad-llm pretrain --preset translate-numbers` makes"
        )
    settings = {"num_beams": arguments.beams, "max_new_tokens": arguments.max_new_tokens}
    if arguments.length_penalty is not None:
        settings["length_penalty"] = arguments.length_penalty

    def facts_of(some: Sequence[TextExample]) -> Iterator[dict[str, Any]]:
        found = translations(model, tokenizer, [example.text for example in some], **settings)
        for example, translation in zip(some, found, strict=True):
            yield {"translation": translation.text, "log_prob": round(translation.log_prob, 4), "text": example.text}

    for_each(arguments, examples, facts_of)
    return 0
