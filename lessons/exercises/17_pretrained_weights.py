"""Exercises of lesson 17: a mean without padding, a table of names, and two hostile files.

tinygrad-llm check 17
"""

import json  # noqa: F401  (for you)
import re  # noqa: F401  (for you)
import struct  # noqa: F401  (for you)

import numpy as np


def mean_pool(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of each text's vectors of tokens: hidden (B, T, C) and mask (B, T), True for tokens → (B, C).

    What is at padding, where the mask is False, does not count, whatever it is: it may be NaN or infinite. A text
    without any token has the vector 0.

    >>> mean_pool(np.array([[[2.0, 0.0], [0.0, 4.0], [9.0, 9.0]]]), np.array([[True, True, False]]))
    array([[1., 2.]])
    """
    raise NotImplementedError


def to_ours(
    arrays: dict[str, np.ndarray],
    table: dict[str, str],
    transposed: set[str],
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    """Their arrays by name → ours by name, as `shapes` wants them: each of our names with its shape.

    A name is that of a module, a dot, and the kind: weight or bias. `table` has their module for each of ours, in which
    * is the number of a block. Modules of theirs that are in `transposed` keep their matrix, the weight, as (in, out).

    >>> arrays = {"h.7.fc.weight": np.ones((2, 3)), "h.7.fc.bias": np.ones(3)}
    >>> shapes = {"blocks.7.up.weight": (3, 2), "blocks.7.up.bias": (3,)}
    >>> {name: a.shape for name, a in to_ours(arrays, {"blocks.*.up": "h.*.fc"}, {"h.*.fc"}, shapes).items()}
    {'blocks.7.up.weight': (3, 2), 'blocks.7.up.bias': (3,)}

    Where something does not fit, one ValueError names all of theirs that are missing, that nobody asked for, or that
    have another shape, and no other weight.
    """
    raise NotImplementedError


def read_tensor(raw: bytes, name: str) -> np.ndarray:
    """One tensor of a safetensors file, of type F32, F16 or BF16, as a float32 array of its shape.

    The file comes from someone else, so trust nothing in it. Raise ValueError, and nothing else, unless

    - there are 8 bytes with the length of the header, and as many bytes follow;
    - the header is a JSON object, and has the name (`__metadata__` is none), with an object of dtype, shape and
      data_offsets;
    - the shape is a list of integers from 0 up, the offsets are two of them, and the end is not beyond the file;
    - the bytes between the offsets are as many as the type and the shape need.

    >>> header = b'{"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}'
    >>> read_tensor(len(header).to_bytes(8, "little") + header + bytes.fromhex("803f 4940"), "w")
    array([1.      , 3.140625], dtype=float32)
    """
    raise NotImplementedError


def gguf_settings(raw: bytes) -> dict[str, int | float | str | list]:
    """The settings at the beginning of a GGUF file of version 3, by name. What comes behind them is not looked at.

        b"GGUF", the version (4 bytes), how many tensors there are (8 bytes), and how many settings (8 bytes)
        each setting: its name, its type (4 bytes), and its value

    Numbers have their lowest byte first. A name is a text: 8 bytes with its length, and as many of UTF-8. The types are

        4  an integer from 0 up, 4 bytes     6  a float32     8  a text
        9  a list: the type of its elements, 4, 6 or 8 (4 bytes), how many they are (8 bytes), and each of them

    The file comes from someone else. Raise ValueError, and nothing else, where it begins in another way, has another
    version or type, ends too early, or has a name twice or a text that is not UTF-8. Reserve no memory for what a
    length promises: it may be a lie.

    >>> gguf_settings(b"GGUF" + struct.pack("<IQQ Q1sII Q1sIQ3s", 3, 0, 2, 1, b"n", 4, 7, 1, b"t", 8, 3, b"yes"))
    {'n': 7, 't': 'yes'}
    """
    raise NotImplementedError
