"""`tinygrad-llm generate`: a trained model writes, and each token is on the screen as soon as it is chosen."""

from __future__ import annotations

import argparse
import codecs
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..generate import beam_search, generate_tokens
from ..models import GPT, Llama
from ..text import BPETokenizer, CharTokenizer
from ..train import open_run
from ..train.fine_tuned import Tokenizer, open_model
from .filter import filtered, open_filter

INSTEAD = {  # what is to be done with models that do not go on with a text
    "bert": "a BERT, which does not write, but fills blanks: tinygrad-llm fill-mask --from {} 'Return the [MASK] of "
    "items.'",
    "seq2seq": "an encoder-decoder, which does not go on with a text: tinygrad-llm translate --from {} TEXT",
}


def generate(arguments: argparse.Namespace) -> int:
    if arguments.n_samples < 1:
        raise ValueError(f"--n-samples must be at least 1, not {arguments.n_samples}")
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {arguments.seed}")
    if "" in arguments.stop:
        raise ValueError("--stop must not be empty: give the text to end at")
    check_beams(arguments)
    model, tokenizer = open_writer(arguments)
    prompt = prompt_ids(tokenizer, arguments.prompt)
    content_filter = open_filter(arguments.filter) if arguments.filter else None
    for number, ids in enumerate(texts(model, tokenizer, prompt, arguments)):
        if arguments.n_samples > 1:
            print(f"{'' if number == 0 else chr(10)}--- {number + 1}")
        sys.stdout.write(arguments.prompt)
        for piece in filtered(until(stream_text(tokenizer, ids), arguments.stop), content_filter, arguments.prompt):
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
    return 0


def open_writer(arguments: argparse.Namespace) -> tuple[GPT | Llama, Tokenizer]:
    """The model of --run or --from. Raises ValueError for one that does not go on with a text."""
    if arguments.run is None:
        model, tokenizer = open_model(arguments.source, keep_quantized=not arguments.expand)
        require_writer(type(model).__name__.lower(), arguments.source)
        return model, tokenizer
    run = open_run(arguments.run)
    require_writer(run.config.model, arguments.run)
    return run.load_model(arguments.checkpoint)[0], run.tokenizer


def require_writer(kind: str, source: str) -> None:
    if kind in INSTEAD:
        raise ValueError(f"{source!r} holds {INSTEAD[kind].format(shlex.quote(source))}")


def check_beams(arguments: argparse.Namespace) -> None:
    """A search draws nothing, so that what says how to draw would be ignored."""
    if arguments.beams is None:
        if arguments.length_penalty is not None:
            raise ValueError("--length-penalty is about beam search: give --beams too, or leave it out")
        return
    for name in ("temperature", "top_k", "top_p", "min_p", "seed"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--beams and --{name.replace('_', '-')} exclude each other: beam search draws no tokens")
    if arguments.beams < 1:
        raise ValueError(f"--beams must be at least 1, not {arguments.beams}")
    if arguments.beams < arguments.n_samples:
        raise ValueError(f"--n-samples must be at most --beams {arguments.beams}, not {arguments.n_samples}")


def texts(model, tokenizer, prompt: list[int], arguments: argparse.Namespace) -> Iterator[Iterable[int]]:
    """The new ids of each text: as they are drawn, or, found by beam search, all at once."""
    settings = {"repetition_penalty": arguments.repetition_penalty, "stop_tokens": stop_ids(tokenizer)}
    if arguments.beams is not None:
        n_samples = arguments.n_samples
        settings["length_penalty"] = 1.0 if arguments.length_penalty is None else arguments.length_penalty
        found = beam_search(
            model, [prompt], arguments.max_new_tokens, arguments.beams, num_return_sequences=n_samples, **settings
        )
        yield from found.sequences[:, len(prompt) :].tolist()
        return
    settings |= {"top_k": arguments.top_k, "top_p": arguments.top_p, "min_p": arguments.min_p}
    settings["temperature"] = 0.8 if arguments.temperature is None else arguments.temperature
    rng = np.random.default_rng(arguments.seed)
    for _ in range(arguments.n_samples):
        yield generate_tokens(model, prompt, arguments.max_new_tokens, rng=rng, **settings)


def prompt_ids(tokenizer: BPETokenizer | CharTokenizer, prompt: str) -> list[int]:
    """Token ids of the prompt; the end of another text, or a new line, stands in for an empty one."""
    if prompt:
        return tokenizer.encode(prompt)
    return [tokenizer.eos_id] if tokenizer.eos_id is not None else tokenizer.encode("\n")


def stop_ids(tokenizer: BPETokenizer | CharTokenizer) -> list[int]:
    return [] if tokenizer.eos_id is None else [tokenizer.eos_id]


def sample_text(run, model, n_tokens: int, seed: Sequence[int], prompt: str = "") -> str:
    """What the model writes, by the settings of its run: several texts if they are short, with a rule between them.

    The same seed gives the same text.
    """
    ids = generate_tokens(
        model,
        prompt_ids(run.tokenizer, prompt),
        n_tokens,
        temperature=run.config.temperature,
        rng=np.random.default_rng(seed),
    )
    texts = [[]]
    for token in ids:
        if token == run.tokenizer.eos_id:
            texts.append([])
        else:
            texts[-1].append(token)
    return prompt + "\n\n* * *\n\n".join("".join(stream_text(run.tokenizer, text)) for text in texts if text)


def stream_text(tokenizer: BPETokenizer | CharTokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text of the ids as they come. A token may be half of a character: it is held back until it is whole."""
    if isinstance(tokenizer, CharTokenizer):
        yield from (tokenizer.decode([token]) for token in ids)
        return
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in ids:
        if token != tokenizer.eos_id:
            yield decoder.decode(tokenizer.decode_bytes([token]))
    yield decoder.decode(b"", final=True)


def until(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """The text up to the first of `stops`; as much is held back as could be the beginning of one."""
    held, margin = "", max(map(len, stops), default=1) - 1
    for piece in pieces:
        held += piece
        ends = [held.find(stop) for stop in stops if stop in held]
        if ends:
            yield held[: min(ends)]
            return
        ready = len(held) - margin
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    yield held
