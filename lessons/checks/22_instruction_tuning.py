"""How the exercises of lesson 22 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.models.decoder import packed
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, call_text, compare
from tinygrad_llm.testing import float_arrays
from tinygrad_llm.text import TEMPLATES, EncodedChat
from tinygrad_llm.train.packing import packed_batch

CHATML = TEMPLATES["chatml"]
contents = st.text(st.sampled_from("ab \n|"), max_size=3)


@exercise(
    "What is the same around each message, whoever speaks? And which part of it comes before an answer?",
    'Join f"<|im_start|>{role}\\n{content}<|im_end|>\\n" over the messages. The prompt is such a frame up to the place '
    "of the content, with the role assistant.",
)
def render_chatml(answer):
    why = "the message of the lesson"
    expect(answer, [("user", "Hi")], equals="<|im_start|>user\nHi<|im_end|>\n", why=why)
    why = "the prompt ends where the assistant will speak, after the line break"
    expect(answer, [("user", "Hi")], True, equals=CHATML.render([("user", "Hi")], True), why=why)
    three = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Yo")]
    expect(answer, three, equals=CHATML.render(three), why="each message has its own role")
    why = "contents stay as they are, blanks and line breaks too"
    expect(answer, [("user", " a\n")], equals=CHATML.render([("user", " a\n")]), why=why)

    def check(said, prompt):
        if prompt and len(said) % 2 == 0:
            said = said[1:]  # a user has the last word
        messages = [(("user", "assistant")[number % 2], content) for number, content in enumerate(said)]
        expect(answer, messages, prompt, equals=CHATML.render(messages, prompt))

    search(check, st.lists(contents, min_size=1, max_size=4), st.booleans())


def batch_of(pieces):
    """What the library makes of it: inputs and targets."""
    ids = [token for piece, _ in pieces for token in piece]
    mask = [int(is_learned) for piece, is_learned in pieces for _ in piece]
    batch = packed_batch([[EncodedChat(ids, mask)]], len(ids) - 1)
    return batch.ids[0], batch.targets[0]


@exercise(
    "At which place is a token the input, and at which the target? Whose piece decides: the input's or the target's?",
    "Make one list of all ids and one of a flag for each of them. Inputs are ids[:-1]; targets are ids[1:], and −100 "
    "where flags[1:] is False.",
)
def inputs_and_targets(answer):
    example = [([1, 5, 9], False), ([7, 2], True), ([9], False)]
    why = (
        "9 comes before the answer's first token and has it as its target; the answer's last token has nothing to learn"
    )
    expect(answer, example, equals=(np.array([1, 5, 9, 7, 2]), np.array([-100, -100, 7, 2, -100])), why=why)
    two = [([1], False), ([2, 3], True), ([4, 1], False), ([5], True)]
    expect(answer, two, equals=batch_of(two), why="each answer is learned, not the last one only")
    expect(answer, [([3, 4], True), ([], False), ([5], True)], equals=batch_of([([3, 4, 5], True)]), why="empty pieces")
    zeros = [([0], False), ([0, 7, 0], True), ([7], False)]
    expect(answer, zeros, equals=batch_of(zeros), why="an id of 0, or one that was there before, is like any other")
    piece = st.tuples(st.lists(st.integers(0, 9), max_size=3), st.booleans())
    pieces = st.lists(piece, min_size=1, max_size=4).filter(lambda drawn: sum(len(ids) for ids, _ in drawn) >= 2)
    search(lambda drawn: expect(answer, drawn, equals=batch_of(drawn)), pieces)


def packed_ref(lengths, row_length):
    """By the library, with a document for each place of padding."""
    n_padding = row_length - sum(lengths)
    documents = np.repeat(np.arange(len(lengths) + n_padding), [*lengths, *[1] * n_padding])[None]
    positions, mask = packed("GPT", documents, documents)
    return positions[0], (mask[0, 0] == 0) & np.tri(row_length, dtype=bool)


@exercise(
    "Write the number of its document below each place: 0 0 1 for lengths 2 and 1. When are two of one document?",
    "np.repeat numbers the places; document[:, None] == document compares all pairs, and np.tri is what looks back. "
    "Each place of padding can be a document of one token.",
)
def packed_mask(answer):
    for lengths, row_length, why in (
        ([3], 3, "one document that fills the row is plain causal attention"),
        ([2, 1], 3, "the second document starts anew, and sees nothing of the first"),
        ([2, 1], 4, "padding has the position 0 and looks at itself only"),
        ([1], 3, "two places of padding do not look at each other"),
        ([2, 2, 3], 8, "documents of equal length are still different ones"),
    ):
        expect(answer, lengths, row_length, equals=packed_ref(lengths, row_length), why=why)

    def check(lengths, n_padding):
        expect(answer, lengths, sum(lengths) + n_padding, equals=packed_ref(lengths, sum(lengths) + n_padding))

    search(check, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 3))


def lora_ref(x, W, A, B, alpha, g):
    x, W, A, B, g = (Tensor(each, requires_grad=True) for each in (x, W, A, B, g))
    merged = W + B @ A * (alpha / A.shape[0])
    y = x @ merged.transpose(0, 1)
    (y * g).sum().backward()
    return y.data, merged.data, A.grad.data, B.grad.data


@exercise(
    "Compute A x first, (N, r): it is in y and in the gradient by B. By which r do you divide alpha?",
    "With s = alpha / r and low = x Aᵀ: y = x Wᵀ + s low Bᵀ, and the gradient by B is s gᵀ low. What does g become on "
    "its way back through B, before it meets x?",
)
def lora(answer):
    x, W, A, B, g = np.ones((1, 2)), np.eye(2), np.array([[1.0, 2.0]]), np.array([[0.5], [-1.0]]), np.ones((1, 2))
    check_lora(answer, (x, W, A, B, 2.0, g), "the example of the lesson")
    rng = np.random.default_rng(0)
    for (N, n_in, r, n_out), alpha, why in (
        ((1, 1, 1, 1), 1.0, "one number each"),
        ((2, 1, 1, 1), 1.0, "gradients are sums over the rows"),
        ((1, 2, 2, 2), 1.0, "alpha is divided by the rank"),
        ((2, 3, 2, 4), 3.0, "in, rank and out differ"),
    ):
        shapes = ((N, n_in), (n_out, n_in), (r, n_in), (n_out, r), (N, n_out))
        x, W, A, B, g = (rng.integers(-2, 3, shape).astype(float) for shape in shapes)
        check_lora(answer, (x, W, A, B, alpha, g), why)
    check_lora(answer, (x, W, A, np.zeros_like(B), alpha, g), "with B = 0 the layer is the one it was")
    drawn = st.tuples(*(float_arrays(shape) for shape in ((2, 3), (2, 3), (2, 3), (2, 2), (2, 2))))
    search(lambda each: check_lora(answer, (*each[:4], 0.5, each[4])), drawn, max_examples=25)


def check_lora(answer, inputs, why=""):
    call, names = call_text(answer, inputs), ("y", "the merged matrix", "the gradient by A", "the gradient by B")
    got, expected = call_answer(answer, inputs, call), lora_ref(*inputs)
    demand(isinstance(got, tuple) and len(got) == 4, "a tuple of four arrays was expected", call, expected, got)
    for name, one, other in zip(names, got, expected, strict=True):
        compare(one, other, call, why=f"{name} is wrong; {why}" if why else f"{name} is wrong")
