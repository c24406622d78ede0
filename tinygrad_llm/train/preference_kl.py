"""How far a model has moved from its reference, token by token: the price of a preference.

    KL(p ‖ p_ref) = Σ_v p(v) · log (p(v) / p_ref(v))        of the next token, exact; mean over the answers' tokens

On answers that the model itself writes this is, summed over an answer, an estimate of the divergence of the two
distributions of whole answers, and of less variance than log p(y) − log p_ref(y) of the same answers: at each token
the expectation is taken in place of a draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from .. import functional as F
from ..autograd import Tensor, no_grad
from ..generate import generate, left_pad
from ..generate.prompts import until
from ..models import GPT, Llama
from ..nn.lora import without_lora
from ..ops.linear_cross_entropy import chunk_rows
from ..text import EncodedChat
from .dpo import rows_of, score_weight
from .packing import IGNORED

EVALUATION_ROWS = 64


def kl_to_reference(model: GPT | Llama, answers: Sequence[EncodedChat], reference: GPT | Llama | None = None) -> float:
    """Nats per token of the answers. Without a `reference` it is the model with its adapters off.

    Raises ValueError where there are no answers, and for a model that has neither a reference nor adapters.
    """
    if not answers:
        raise ValueError("kl_to_reference: there are no answers")
    total, count = 0.0, 0
    with no_grad():
        for start in range(0, len(answers), EVALUATION_ROWS):
            ids, targets = rows_of(answers[start : start + EVALUATION_ROWS])
            counted = targets != IGNORED
            hidden = model.hidden(ids).data[counted]  # (n, C)
            with _reference(model, reference) as other:
                theirs = other.hidden(ids).data[counted]
                total += sum(_kl(hidden, score_weight(model), theirs, score_weight(other)))
            count += len(hidden)
    return total / count


def _reference(model, reference) -> AbstractContextManager:
    return without_lora(model) if reference is None else nullcontext(reference)


def _kl(hidden: np.ndarray, weight: Tensor, theirs: np.ndarray, their_weight: Tensor) -> Iterator[float]:
    """The divergences of n tokens, summed over as many at a time as there is room for scores."""
    n_rows = chunk_rows(len(weight.data), weight.data.itemsize)
    for start in range(0, len(hidden), n_rows):
        log_p, log_q = (
            F.log_softmax(F.linear(Tensor(vectors[start : start + n_rows]), matrix), dim=-1).data  # (rows, V)
            for vectors, matrix in ((hidden, weight), (theirs, their_weight))
        )
        yield float((np.exp(log_p) * (log_p - log_q)).sum())


def sample_answers(
    model: GPT | Llama,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end: Sequence[int],
    rng: np.random.Generator,
) -> list[EncodedChat]:
    """An answer of the model to each prompt, drawn at temperature 1, with the `end` where the model wrote it."""
    answers = []
    for start in range(0, len(prompts), EVALUATION_ROWS):
        chunk = prompts[start : start + EVALUATION_ROWS]
        ids, mask = left_pad(chunk)
        room = min(max_new_tokens, model.config.max_seq_len - ids.shape[1])
        texts = generate(model, ids, room, attention_mask=mask, rng=rng, stop_sequences=[end])
        for prompt, text in zip(chunk, texts, strict=True):
            written = text[ids.shape[1] :].tolist()
            answer = written[: len(until(written, end)) + len(end)]
            answers.append(EncodedChat([*prompt, *answer], [0] * len(prompt) + [1] * len(answer)))
    return answers
