"""How the exercises of lesson 22 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.models import Llama, LlamaConfig
from tinygrad_llm.models.decoder import packed
from tinygrad_llm.nn.lora import num_trainable, put_lora
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


MATRICES = ("query", "key", "value", "out", "gate", "up", "down")


def lora_numbers_ref(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """By a model."""
    sizes = {"n_layers": n_layers, "n_heads": n_heads, "n_kv_heads": n_kv_heads, "d_model": d_model, "d_ff": d_ff}
    model = Llama(LlamaConfig(1, 1, **sizes)).requires_grad_(False)
    names = [name for name, each in model.named_modules() if name.rpartition(".")[2] in MATRICES]
    n_all = sum(parameter.data.size for name, parameter in model.named_parameters() if parameter.ndim == 2)
    for name in names:
        if rank := ranks.get(name.rpartition(".")[2]):
            put_lora(model, name, rank, 1.0, 0.0, None)
    return num_trainable(model), n_all - d_model  # without the embedding of the only token


@exercise(
    "Which shape has each of the seven? Keys and values have n_kv_heads heads of d_model / n_heads numbers each.",
    "A correction of a matrix (out, in) has A (r, in) and B (out, r): r · (in + out) numbers. The matrix itself has "
    "in · out. Add up over the seven, each with its own rank, and multiply by n_layers.",
)
def lora_numbers(answer):
    def check(sizes, ranks, why=""):
        inputs = (*sizes, dict.fromkeys(MATRICES, ranks) if isinstance(ranks, int) else ranks)
        expect(answer, *inputs, equals=lora_numbers_ref(*inputs), why=why)

    check((2, 8, 4, 2, 12), {"query": 1, "value": 3}, "the example")
    for name in MATRICES:
        check((1, 8, 4, 2, 12), {name: 1}, f"{name} alone")
    check((1, 8, 4, 2, 12), {}, "nothing is trained")
    check((1, 8, 4, 4, 12), 2, "each head has its own keys and values")
    check((1, 8, 4, 1, 12), 2, "one head of keys and values for all")
    check((3, 12, 3, 1, 4), 1, "three blocks, heads of 4, and d_ff below d_model")
    check((1, 8, 2, 1, 4), {"out": 0, "up": 5}, "rank 0 is no correction")
    expect(answer, 30, 576, 9, 3, 1536, dict.fromkeys(MATRICES, 4), equals=(1_221_120, 106_168_320), why="SmolLM2-135M")
    sizes = st.tuples(
        st.integers(1, 2), st.sampled_from([8, 16]), st.sampled_from([2, 4]), st.just(2), st.integers(1, 9)
    )
    search(check, sizes, st.dictionaries(st.sampled_from(MATRICES), st.integers(0, 3)), max_examples=25)


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
