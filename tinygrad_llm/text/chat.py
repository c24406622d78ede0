"""Conversations as tokens: who says what is told by special tokens that no user can write.

    [("user", "Hi"), ("assistant", "Hello!")]           what is said
    <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎Hello!<|im_end|>⏎       the template's frame around it
    …                                                   its ids; the loss counts "Hello!<|im_end|>" only

The model learns to answer, not to ask, so the loss is on what the assistant says, and on the token that ends it: from
that one it learns to stop. Frame and content are encoded apart: a user who types `<|im_end|>` has typed ten characters,
not the end of his turn. Where a family's marks are no special tokens of the tokenizer (`[INST]` in Llama 2, all of
Alpaca's) they are plain text, and can be forged.

Sources: Ouyang and others, "Training language models to follow instructions" (2022); Taori and others, "Alpaca" (2023).
What each family's frame looks like is written down in its tokenizer_config.json: chat_jinja.py reads and writes those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from .bpe import BPETokenizer

CONTENT = "{content}"
ROLES = ("system", "user", "assistant")


class Message(NamedTuple):
    """One turn; any pair of role and text will do in its place."""

    role: str  # "system", only as the first, "user" or "assistant"
    content: str


class Part(NamedTuple):
    """A piece of a rendered conversation."""

    text: str
    is_frame: bool  # the template's own, in which the names of special tokens are special tokens
    is_answer: bool  # what the model has to write
    number: int  # of the message that it belongs to


class EncodedChat(NamedTuple):
    ids: list[int]
    loss_mask: list[int]  # 1 for the tokens of answers and of their ends, 0 elsewhere


@dataclass(frozen=True)
class ChatTemplate:
    """The frame around each message. "{content}" stands for what is said.

    Example: `CHATML.user` is `"<|im_start|>user\\n{content}<|im_end|>\\n"`.
    """

    name: str
    user: str
    prompt: str  # what comes before an answer, and is written for the model
    end: str  # what the model writes after its answer
    after: str = ""  # what follows that, without being learned
    answer: str = CONTENT  # the answer itself, where blanks belong to it
    system: str | None = None  # None: this family has no system message
    system_in_user: bool = False  # it stands within the first user's message
    default_system: str | None = None  # of a conversation that begins without one
    begin: str = ""  # before everything
    strip: bool = False  # blanks around contents go
    marks: tuple[str, ...] = ()  # of the frame, which should be special tokens, besides bos and eos
    bos: str = ""  # beginning and end of a text, where the frame uses them
    eos: str = ""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """What a tokenizer for this template needs."""
        return tuple(dict.fromkeys(name for name in (*self.marks, self.bos, self.eos) if name))

    def with_tokens(self, bos: str = "", eos: str = "") -> ChatTemplate:
        """The same frame, but with another name for the beginning, or the end, of a text."""
        changed = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and field.name not in ("name", "default_system"):
                for old, new in ((self.bos, bos), (self.eos, eos)):
                    value = value.replace(old, new) if old and new else value
                changed[field.name] = value
        return replace(self, **changed)

    def render(self, messages: Iterable[tuple[str, str]], add_generation_prompt: bool = False) -> str:
        """The conversation as one text, as Hugging Face's `apply_chat_template` gives it.

        Raises ValueError as `parts`.
        """
        return "".join(part.text for part in self.parts(messages, add_generation_prompt))

    def parts(self, messages: Iterable[tuple[str, str]], add_generation_prompt: bool = False) -> Iterator[Part]:
        """The pieces of the text, in order.

        Raises ValueError unless there may be a system message first, and then a user and the assistant take turns;
        with add_generation_prompt a user has the last word.
        """
        messages = checked_messages(messages, add_generation_prompt)
        if messages[0].role == "system":
            if self.system is None:
                raise ValueError(f"the chat template {self.name!r} has no place for a system message: leave it out")
            system, first = messages[0].content, 1
        else:
            system, first = self.default_system, 0
        yield Part(self.begin, True, False, 0)
        if system is not None and not self.system_in_user:
            yield from self._framed(self.system, system, 0)
        for number, (role, content) in enumerate(messages[first:], start=first):
            if role == "user":
                if number == first and system is not None and self.system_in_user:
                    yield from self._user_with_system(system, content, number)
                else:
                    yield from self._framed(self.user, content, number)
            else:
                yield Part(self.prompt, True, False, number)
                yield from self._framed(self.answer, content, number, is_answer=True)
                yield Part(self.end, True, True, number)
                yield Part(self.after, True, False, number)
        if add_generation_prompt:
            yield Part(self.prompt, True, False, len(messages))

    def _framed(self, frame: str, content: str, number: int, is_answer: bool = False) -> Iterator[Part]:
        before, after = frame.split(CONTENT)
        yield Part(before, True, is_answer, number)
        yield Part(content.strip() if self.strip else content, False, is_answer, number)
        yield Part(after, True, is_answer, number)

    def _user_with_system(self, system: str, content: str, number: int) -> Iterator[Part]:
        (before, after), (opening, closing) = self.user.split(CONTENT), self.system.split(CONTENT)
        yield Part(before + opening, True, False, number)
        yield Part(system, False, False, number)
        yield Part(closing, True, False, number)
        yield Part(content.rstrip() if self.strip else content, False, False, number)
        yield Part(after, True, False, number)


def checked_messages(messages: Iterable[tuple[str, str]], ends_with_user: bool = False) -> list[Message]:
    """The messages. Raises ValueError where they are no conversation; see `ChatTemplate.parts`."""
    messages = [Message(*message) for message in messages]
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise ValueError("a conversation needs at least one message of a user")
    for number, (role, content) in enumerate(turns):
        wanted = ("user", "assistant")[number % 2]
        if role != wanted:
            raise ValueError(
                f"message {len(messages) - len(turns) + number + 1} is of the role {role!r} where {wanted!r} has its "
                "turn: there may be a system message first, then user and assistant take turns"
            )
        if not isinstance(content, str):
            raise ValueError(f"the content of a message must be a text, not {type(content).__name__}")
    if ends_with_user and turns[-1].role != "user":
        raise ValueError("the assistant had the last word: a prompt for an answer must end with a user's message")
    return messages


def encode_chat(
    tokenizer: BPETokenizer,
    template: ChatTemplate,
    messages: Iterable[tuple[str, str]],
    add_generation_prompt: bool = False,
    written: Mapping[int, Sequence[int]] | None = None,
) -> EncodedChat:
    """The ids of a conversation, and which of them the loss is about.

    `written` has the ids of answers by the number of their message, where a model wrote them: the same text may be cut
    into tokens in several ways. Raises TypeError for a tokenizer without special tokens, ValueError as `parts`.
    """
    _require_bpe(tokenizer)
    names = sorted(set(template.special_tokens) & set(tokenizer.special_tokens), key=len, reverse=True)
    special = re.compile(f"({'|'.join(map(re.escape, names))})" if names else "((?!))")
    ids, loss_mask, pending, is_answer = [], [], "", False

    def add(new: Sequence[int]) -> None:
        ids.extend(new)
        loss_mask.extend([int(is_answer)] * len(new))

    for part in template.parts(messages, add_generation_prompt):
        if part.is_answer != is_answer:
            add(tokenizer.encode(pending))
            pending, is_answer = "", part.is_answer
        if part.is_frame:
            for number, piece in enumerate(special.split(part.text)):
                if number % 2 == 1:
                    add(tokenizer.encode(pending))
                    add([tokenizer.special_tokens[piece]])
                    pending = ""
                else:
                    pending += piece
        elif part.is_answer and written and part.number in written:
            add(tokenizer.encode(pending))
            add(list(written[part.number]))
            pending = ""
        else:
            pending += part.text
    add(tokenizer.encode(pending))
    return EncodedChat(ids, loss_mask)


def end_ids(tokenizer: BPETokenizer, template: ChatTemplate) -> list[int]:
    """What a model of this template writes when its answer is over: a sequence to stop at."""
    _require_bpe(tokenizer)
    if template.end in tokenizer.special_tokens:
        return [tokenizer.special_tokens[template.end]]
    return tokenizer.encode(template.end)


def _require_bpe(tokenizer: BPETokenizer) -> None:
    if not isinstance(tokenizer, BPETokenizer):
        raise TypeError(
            f"a chat needs byte-level BPE, whose special tokens mark who speaks, not a {type(tokenizer).__name__}: "
            "pretrain with --tokenizer bpe"
        )


_IM, _HEADER = ("<|im_start|>", "<|im_end|>"), ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CHATML = ChatTemplate(
    "chatml",
    user="<|im_start|>user\n{content}<|im_end|>\n",
    prompt="<|im_start|>assistant\n",
    end="<|im_end|>",
    after="\n",
    system="<|im_start|>system\n{content}<|im_end|>\n",
    marks=_IM,
)
LLAMA_2 = ChatTemplate(
    "llama-2",
    user="<s>[INST] {content} [/INST]",
    prompt="",
    end="</s>",
    answer=" {content} ",
    system="<<SYS>>\n{content}\n<</SYS>>\n\n",
    system_in_user=True,
    strip=True,
    marks=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    bos="<s>",
    eos="</s>",
)
LLAMA_3 = ChatTemplate(
    "llama-3",
    begin="<|begin_of_text|>",
    user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
    prompt="<|start_header_id|>assistant<|end_header_id|>\n\n",
    end="<|eot_id|>",
    system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
    strip=True,
    marks=_HEADER,
    bos="<|begin_of_text|>",
)
ZEPHYR = ChatTemplate(
    "zephyr",
    user="<|user|>\n{content}</s>\n",
    prompt="<|assistant|>\n",
    end="</s>",
    after="\n",
    system="<|system|>\n{content}</s>\n",
    marks=("<|user|>", "<|system|>", "<|assistant|>"),
    eos="</s>",
)
MISTRAL = ChatTemplate(
    "mistral",
    begin="<s>",
    user="[INST] {content} [/INST]",
    prompt="",
    end="</s>",
    marks=("[INST]", "[/INST]"),
    bos="<s>",
    eos="</s>",
)
GEMMA = ChatTemplate(
    "gemma",
    begin="<bos>",
    user="<start_of_turn>user\n{content}<end_of_turn>\n",
    prompt="<start_of_turn>model\n",
    end="<end_of_turn>",
    after="\n",
    strip=True,
    marks=("<start_of_turn>", "<end_of_turn>"),
    bos="<bos>",
)
ALPACA = ChatTemplate(
    "alpaca",
    user="### Instruction:\n{content}\n\n",
    prompt="### Response:\n",
    end="</s>",
    after="\n\n",
    system="{content}\n\n",
    eos="</s>",
)
TEMPLATES = {each.name: each for each in (CHATML, LLAMA_2, LLAMA_3, ZEPHYR, MISTRAL, GEMMA, ALPACA)}
