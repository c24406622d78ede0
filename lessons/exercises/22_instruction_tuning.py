"""Exercises of lesson 22: a template, what the loss counts, packed rows, what LoRA adds, and LoRA itself.

tinygrad-llm check 22
"""

import numpy as np


def render_chatml(messages: list[tuple[str, str]], add_generation_prompt: bool = False) -> str:
    """A conversation of pairs (role, content) in ChatML's frame, each message

        <|im_start|>role⏎content<|im_end|>⏎

    With `add_generation_prompt` the frame of the assistant's next message follows, up to where it will speak.

    >>> render_chatml([("user", "Hi")], add_generation_prompt=True)
    '<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'
    """
    raise NotImplementedError


def inputs_and_targets(pieces: list[tuple[list[int], bool]]) -> tuple[np.ndarray, np.ndarray]:
    """Of a conversation of n tokens, cut into pieces (ids, is_learned): what the model reads and what it should say.

    Both are integers (n − 1,): each token but the last, and the token after it. A target of a piece that is not learned
    is −100. A piece may be empty.

    >>> inputs_and_targets([([1, 5, 9], False), ([7, 2], True), ([9], False)])
    (array([1, 5, 9, 7, 2]), array([-100, -100,    7,    2, -100]))
    """
    raise NotImplementedError


def packed_mask(lengths: list[int], row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents of these lengths stand in a row one after the other, and padding fills it up to `row_length`.

    Returns the positions, integers (row_length,), which start at 0 in each document, and who may look at whom, bool
    (row_length, row_length): True at [i, j] if token i may look at token j, which is of its document and not after it.
    Padding has the position 0, and looks at itself only.

    >>> positions, allowed = packed_mask([2, 1], 4)
    >>> positions
    array([0, 1, 0, 0])
    >>> allowed.astype(int)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 0, 1, 0],
           [0, 0, 0, 1]])
    """
    raise NotImplementedError


def lora_numbers(
    n_layers: int, d_model: int, n_heads: int, n_kv_heads: int, d_ff: int, ranks: dict[str, int]
) -> tuple[int, int]:
    """How many numbers LoRA trains in the blocks of a Llama, and how many those blocks have in their seven matrices.

    A block attends with n_heads heads, d_model / n_heads numbers each; n_kv_heads of them have keys and values of their
    own. Its matrices, by name: "query", "key", "value" and "out" of attention, where out maps the n_heads heads back to
    d_model; and "gate", "up" and "down", from d_model to d_ff, and the last one back. `ranks` has the rank for some of
    these names; a matrix that is not in it, or has rank 0, gets no correction.

    >>> lora_numbers(2, 8, n_heads=4, n_kv_heads=2, d_ff=12, ranks={"query": 1, "value": 3})
    (104, 960)
    """
    raise NotImplementedError


def lora(
    x: np.ndarray, W: np.ndarray, A: np.ndarray, B: np.ndarray, alpha: float, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y = W x + (alpha / r) B A x for each row of x (N, in), with W (out, in), A (r, in), B (out, r).

    Returns y (N, out); the merged matrix (out, in), which gives the same y alone; and the gradients by A and by B of a
    loss whose gradient by y is g (N, out).

    >>> x, W, A, B = np.ones((1, 2)), np.eye(2), np.array([[1.0, 2.0]]), np.array([[0.5], [-1.0]])
    >>> [each.tolist() for each in lora(x, W, A, B, 2.0, np.ones((1, 2)))]
    [[[4.0, -5.0]], [[2.0, 2.0], [-2.0, -3.0]], [[-1.0, -1.0]], [[6.0], [6.0]]]
    """
    raise NotImplementedError
