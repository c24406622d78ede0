"""Preferences as tokens: in the frame of the model's chat template, or, of a model that has none, line after line.

<|im_start|>user⏎What does `f` do?<|im_end|>⏎<|im_start|>assistant⏎Sort it.<|im_end|>       with a template
What does `f` do?⏎Sort it.⏎                                                                 without
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.preferences import Preference
from ..text import BPETokenizer, ChatTemplate, EncodedChat, encode_chat, end_ids
from .chat import PLAIN
from .dpo import EncodedPair


@dataclass(frozen=True)
class AnswerFrame:
    """How a prompt and its answer are put together for a model. Methods raise TypeError for a tokenizer without marks.

    `template` is PLAIN for a model that was not taught one.
    """

    tokenizer: BPETokenizer
    template: ChatTemplate = PLAIN

    def encode(self, prompt: str, answer: str) -> EncodedChat:
        """The ids of both, and which belong to the answer or to its end."""
        chat = encode_chat(self.tokenizer, self.template, [("user", prompt), ("assistant", answer)])
        n = max(i for i, is_answer in enumerate(chat.loss_mask, start=1) if is_answer)  # what comes after the end goes
        return EncodedChat(chat.ids[:n], chat.loss_mask[:n])

    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model gets to write an answer."""
        return encode_chat(self.tokenizer, self.template, [("user", prompt)], add_generation_prompt=True).ids

    @property
    def end(self) -> list[int]:
        """What the model writes after an answer."""
        return end_ids(self.tokenizer, self.template)


def encode_preferences(
    preferences: Sequence[Preference], frame: AnswerFrame, max_seq_len: int
) -> tuple[list[Preference], list[EncodedPair]]:
    """Those of which both answers fit into `max_seq_len` tokens, and their ids: a cut one would be another answer."""
    kept, pairs = [], []
    for each in preferences:
        pair = EncodedPair(*(frame.encode(each.prompt, answer) for answer in (each.chosen, each.rejected)))
        if max(len(chat.ids) for chat in pair) <= max_seq_len:
            kept.append(each)
            pairs.append(pair)
    return kept, pairs
