"""A conversation with a model: its history, the KV cache that holds it, and what is forgotten when it is full.

Each turn is encoded with all turns before it, and what the cache has already is not run again: as long as nothing is
forgotten, that is everything but the new message. When the context has no room left, the oldest turns go, a question
and its answer at a time; the system message stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..generate import GenerationConfig
from ..generate.context import next_token_logits
from ..generate.sampling import RepetitionPenalty, next_tokens
from ..models import GPT, Llama
from ..text import BPETokenizer, ChatTemplate, Message, encode_chat, end_ids
from .generate import stream_text

LEAST_ROOM = 16  # tokens that must be left for an answer


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str
    ids: tuple[int, ...]  # in which the model wrote the answer


class Conversation:
    """`for piece in conversation.ask("Hi"): print(piece, end="")`; then `turns` has one more.

    Raises ValueError where the template has no place for a system message.
    """

    def __init__(
        self,
        model: GPT | Llama,
        tokenizer: BPETokenizer,
        template: ChatTemplate,
        system: str | None = None,
        max_new_tokens: int = 200,
        config: GenerationConfig | None = None,
        rng: np.random.Generator | None = None,
    ):
        if max_new_tokens < 1:
            raise ValueError(f"an answer needs room for at least 1 token, not {max_new_tokens}")
        self.model, self.tokenizer, self.template = model.eval(), tokenizer, template
        self.max_new_tokens, self.config = max_new_tokens, config or GenerationConfig(temperature=0.0)
        self.rng = np.random.default_rng() if rng is None else rng
        self.turns: list[Turn] = []
        self.n_forgotten = 0  # turns, when the last question was asked
        self.is_cut = False  # whether the last answer ended where the context or max_new_tokens did
        self.n_run = 0  # tokens that the last question took, those of the answer not counted
        self._cache, self._cached = model.new_cache(1), []  # _cached: the ids whose keys and values are there
        self._end = end_ids(tokenizer, template)
        self.system: str | None = None
        self.set_system(system)

    def set_system(self, system: str | None) -> None:
        """What the model is told before everything; the conversation goes on."""
        if system is not None:
            self.template.render([("system", system), ("user", "")])  # raises where there is no place for it
        self.system = system

    def reset(self) -> None:
        """Forget all turns; the system message stays."""
        self.turns = []

    def take_back(self) -> None:
        """Forget the last question and its answer."""
        del self.turns[-1]

    def messages(self) -> list[Message]:
        system = [] if self.system is None else [Message("system", self.system)]
        return system + [
            Message(*each) for turn in self.turns for each in (("user", turn.question), ("assistant", turn.answer))
        ]

    def ask(self, question: str) -> Iterator[str]:
        """The answer, in pieces of whole characters; what there is of it is kept where the caller stops early.

        Raises ValueError at once for a question that is longer than the context.
        """
        ids = self._make_room(question)
        return self._pieces(question, ids)

    def _make_room(self, question: str) -> list[int]:
        """The ids of everything so far and the question, after forgetting what there is no room for."""
        max_seq_len = self.model.config.max_seq_len
        room = min(self.max_new_tokens, max(max_seq_len // 4, 1))
        kept = list(self.turns)
        ids = self._encode(kept, question)
        while len(ids) + room > max_seq_len and kept:
            del kept[0]
            ids = self._encode(kept, question)
        if len(ids) + min(room, LEAST_ROOM) > max_seq_len:
            raise ValueError(
                f"the message takes {len(ids):,} tokens with its frame, and the model sees only {max_seq_len:,} at "
                "once: say it in fewer words"
            )
        self.n_forgotten = len(self.turns) - len(kept)
        self.turns = kept
        return ids

    def _encode(self, turns: list[Turn], question: str) -> list[int]:
        first = 0 if self.system is None else 1
        messages = [] if self.system is None else [("system", self.system)]
        for turn in turns:
            messages += [("user", turn.question), ("assistant", turn.answer)]
        written = {first + 2 * i + 1: turn.ids for i, turn in enumerate(turns)}
        messages.append(("user", question))
        return encode_chat(self.tokenizer, self.template, messages, add_generation_prompt=True, written=written).ids

    def _pieces(self, question: str, ids: list[int]) -> Iterator[str]:
        answer: list[int] = []

        def kept() -> Iterator[int]:
            for token in self._tokens(ids):
                answer.append(token)
                yield token

        try:
            yield from stream_text(self.tokenizer, kept())
        finally:
            self.turns.append(Turn(question, self.tokenizer.decode(answer), tuple(answer)))

    def _tokens(self, ids: list[int]) -> Iterator[int]:
        """The ids of the answer, without its end; as many are held back as could be the beginning of that."""
        penalty = RepetitionPenalty(
            self.config.repetition_penalty, np.array([ids]), np.array([0]), self.model.config.vocab_size
        )
        room = min(self.max_new_tokens, self.model.config.max_seq_len - len(ids))
        held: list[int] = []
        logits = self._run(ids)
        self.is_cut = False
        for number in range(room):
            token = int(next_tokens(penalty(logits), self.config, self.rng)[0])
            penalty.add(np.array([token]))
            held.append(token)
            if held[-len(self._end) :] == self._end:
                yield from held[: -len(self._end)]
                return
            while len(held) >= len(self._end):
                yield held.pop(0)
            if number < room - 1:
                logits = self._run([*self._cached, token])
        self.is_cut = True
        yield from held

    def _run(self, ids: list[int]) -> np.ndarray:
        """Scores (1, V) of the token after ids; only those are run that the cache has not, or has otherwise."""
        n_same = next((i for i, (a, b) in enumerate(zip(ids, self._cached, strict=False)) if a != b), None)
        n_same = min(len(ids), len(self._cached)) if n_same is None else n_same
        n_same = min(n_same, len(ids) - 1)  # the last one's scores are wanted
        for layer in self._cache.layers:
            layer.length = n_same
        self._cached = ids[:n_same]
        self.n_run = len(ids) - n_same
        logits = next_token_logits(self.model, np.array([ids[n_same:]]), self._cache)
        self._cached = list(ids)
        return logits
