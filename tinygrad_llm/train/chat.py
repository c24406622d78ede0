"""Instruction tuning: a model that continues texts learns to answer.

    tuning = ChatTuning(base, tokenizer, instruction_split(), TEMPLATES["chatml"], config)
    for report in tuning.train():
        print(report.step, report.loss, -report.score)              # the loss per token of answers; a score is −loss
    write_answers(tuning.base, tuning.tokenizer, tuning.template, [(("user", "What does `len` do?"),)])

The loss counts answers and their ends only, and of all evaluations the weights with the lowest loss on the validation
part's answers are kept. Source: Ouyang and others (2022), section 3.5, the supervised step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..autograd import Tensor, no_grad
from ..data import ExampleSplit
from ..data.conversations import Conversation
from ..evaluate import rouge_scores, sentence_chrf
from ..evaluate.ngrams import TfidfVectorizer
from ..generate import generate, left_pad
from ..generate.prompts import until
from ..models import GPT, Llama, resize_token_embeddings
from ..nn import Module
from ..text import BPETokenizer, ChatTemplate, EncodedChat, encode_chat, end_ids
from .finetune import Evaluated, FineTuneConfig, fine_tune
from .packing import IGNORED, PackedBatch, packed_batch, packed_batches, packed_rows

# A model that was never tuned is asked in plain text: the question, and on the next line its answer. It does not know
# that it is asked, and often ends the text first: so its answer is the first line in what it writes that says anything.
PLAIN = ChatTemplate("plain", user="{content}\n", prompt="", end="\n", system="{content}\n")
EVALUATION_ROWS = 16
ANSWER_BATCH = 32


class AnswerModel(Module):
    """A GPT or a Llama as `fine_tune` wants it: it is the `base`, and nothing is added."""

    def __init__(self, base: GPT | Llama):
        self.base = base

    def loss(self, ids: np.ndarray, targets: np.ndarray, documents: np.ndarray) -> Tensor:
        return self.base.loss(ids, targets, documents)


def encode_fitting(
    tokenizer: BPETokenizer, template: ChatTemplate, conversation: Conversation, max_tokens: int
) -> EncodedChat | None:
    """The conversation, without its last turns where they do not fit; None where not even the first ones do."""
    messages = conversation.messages
    while len(messages) >= 2:
        chat = encode_chat(tokenizer, template, messages)
        if len(chat.ids) <= max_tokens:
            return chat
        messages = messages[:-2]
    return None


class ChatTuning:
    """A base model on its way to answering. It grows by the template's special tokens, and so does the tokenizer.

    `left_out` counts the conversations of which not even the first turns fit into a row. Raises ValueError where no
    conversation is left to train or to stop by, TypeError for a tokenizer other than byte-level BPE.
    """

    def __init__(
        self,
        base: GPT | Llama,
        tokenizer: BPETokenizer,
        split: ExampleSplit,
        template: ChatTemplate,
        config: FineTuneConfig,
        row_length: int | None = None,
    ):
        if not isinstance(base, (GPT, Llama)):
            raise TypeError(f"only models that write can learn to answer, a GPT or a Llama, not {type(base).__name__}")
        if not isinstance(tokenizer, BPETokenizer):
            raise TypeError(
                f"a chat needs byte-level BPE, not a {type(tokenizer).__name__}: pretrain with --tokenizer bpe"
            )
        self.base, self.split, self.template, self.config = base, split, template, config
        self.row_length = min(row_length or base.config.max_seq_len, base.config.max_seq_len)
        self.tokenizer = tokenizer.with_special_tokens(template.special_tokens)
        resize_token_embeddings(base, max(self.tokenizer.vocab_size, base.config.vocab_size))
        encoded = {part: self._encode(getattr(split, part)) for part in ("train", "validation", "test")}
        self.left_out = sum(chat is None for chats in encoded.values() for chat in chats)
        self.chats = {part: [chat for chat in chats if chat is not None] for part, chats in encoded.items()}
        for part in ("train", "validation"):
            if not self.chats[part]:
                raise ValueError(
                    f"no conversation of the {part} part fits into {self.row_length} tokens: give shorter ones, or a "
                    "base with a longer context"
                )

    def _encode(self, conversations: Sequence[Conversation]) -> list[EncodedChat | None]:
        longest = self.row_length + 1  # n tokens are n − 1 inputs and as many targets
        return [encode_fitting(self.tokenizer, self.template, each, longest) for each in conversations]

    @property
    def n_rows(self) -> int:
        """How many rows a pass over the training part has, about."""
        return math.ceil(sum(len(chat.ids) - 1 for chat in self.chats["train"]) / self.row_length)

    @property
    def n_steps(self) -> int:
        """At most; training may end earlier."""
        return self.config.n_steps(self.n_rows)

    def train(self) -> Iterator[Evaluated]:
        """As `fine_tune`; an example, of which there are `batch_size` in a batch, is a row of conversations."""
        rng = np.random.default_rng(self.config.seed)
        batches = packed_batches(self.chats["train"], self.config.batch_size, self.row_length, rng)
        return fine_tune(AnswerModel(self.base), batches, lambda: -self.loss("validation"), self.config, self.n_rows)

    def loss(self, part: str) -> float:
        """The mean cross-entropy per token of the answers of "train", "validation" or "test", in nats."""
        return answer_loss(self.base, self.chats[part], self.row_length)


def answer_loss(model: GPT | Llama, chats: Sequence[EncodedChat], row_length: int) -> float:
    """The mean cross-entropy per token of the answers and their ends, in nats. Raises ValueError for no chats."""
    if not chats:
        raise ValueError("answer_loss: there are no conversations to measure on")
    rows, total, n_tokens = packed_rows(chats, row_length), 0.0, 0
    was_training = model.training
    model.eval()
    with no_grad():
        for start in range(0, len(rows), EVALUATION_ROWS):
            batch: PackedBatch = packed_batch(rows[start : start + EVALUATION_ROWS], row_length)
            n = int((batch.targets != IGNORED).sum())
            total += model.loss(*batch).item() * n
            n_tokens += n
    model.train(was_training)
    return total / n_tokens


def write_answers(
    model: GPT | Llama,
    tokenizer: BPETokenizer,
    template: ChatTemplate,
    prompts: Sequence[Sequence[tuple[str, str]]],
    max_new_tokens: int = 80,
) -> list[str]:
    """The likeliest answer, token by token, to each conversation that a user had the last word in.

    Where answers end with their line, as in PLAIN, blank lines before one are passed over, and ends of text too.
    """
    encoded = [encode_chat(tokenizer, template, prompt, add_generation_prompt=True).ids for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))  # prompts of about a length go together
    end, answers, is_line = end_ids(tokenizer, template), [""] * len(prompts), not template.end.strip()
    for start in range(0, len(order), ANSWER_BATCH):
        numbers = order[start : start + ANSWER_BATCH]
        ids, mask = left_pad([encoded[i] for i in numbers])
        settings = {"stop_sequences": [] if is_line else [end], "pad_token_id": end[-1]}
        found = generate(model, ids, max_new_tokens, attention_mask=mask, temperature=0.0, **settings)
        for i, row in zip(numbers, found[:, ids.shape[1] :].tolist(), strict=True):
            answers[i] = _first_line(tokenizer, row) if is_line else tokenizer.decode(until(row, end)).strip()
    return answers


def _first_line(tokenizer: BPETokenizer, ids: list[int]) -> str:
    text = tokenizer.decode([token for token in ids if token != tokenizer.eos_id]).strip()
    return text.partition("\n")[0].strip()


def nearest_answers(train: Sequence[Conversation], prompts: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """A baseline without a model: the answer to the prompt in `train` that shares most words and pairs of words.

    That is by the cosine of their TF-IDF weights; of equal ones the first. Raises ValueError for no conversations.
    """
    vectorizer = TfidfVectorizer()
    known = vectorizer.fit_transform([_said(each.prompt) for each in train])  # (N, F)
    asked = vectorizer.transform([_said(prompt) for prompt in prompts])
    answers = []
    for start, stop in zip(asked.indptr[:-1], asked.indptr[1:], strict=True):
        weights = np.zeros((1, known.n_columns))
        weights[0, asked.columns[start:stop]] = asked.values[start:stop]
        answers.append(train[int(known.dot(weights).argmax())].answer)
    return answers


def _said(messages: Sequence[tuple[str, str]]) -> str:
    return "\n".join(content for _, content in messages)


@dataclass(frozen=True)
class AnswerScores:
    """How near N answers are to those wanted, arrays (N,)."""

    chrf: np.ndarray  # of each sentence, 0 to 100
    rouge_l: np.ndarray  # its F1, 0 to 1
    exact: np.ndarray  # 1 where the texts are equal, else 0

    @classmethod
    def of(cls, answers: Sequence[str], wanted: Sequence[str]) -> AnswerScores:
        """Raises ValueError for no answers, or another number of them than of those wanted."""
        references = [[each] for each in wanted]
        return cls(
            np.array([sentence_chrf(*each) for each in zip(answers, references, strict=True)]),
            rouge_scores(answers, references).rouge_l.f1,
            np.array([float(answer == each.strip()) for answer, each in zip(answers, wanted, strict=True)]),
        )
