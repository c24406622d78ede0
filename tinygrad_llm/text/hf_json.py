"""Hugging Face's `tokenizer.json` for byte-level BPE, and the two files of GPT-2 it grew from.

The file describes a pipeline: normalizer → pre-tokenizer → model → post-processor, and a decoder. Here the
pre-tokenizer and the decoder are "ByteLevel" (split.py and byte_alphabet.py), maybe with "Digits" before, the model is
"BPE", and the others are absent. What this package would not follow exactly is refused: the ids are always Hugging
Face's.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .byte_alphabet import from_visible, to_visible
from .checks import check_text

Parts = tuple[list[bytes], list[tuple[int, int]], dict[str, int]]  # tokens, merges, special tokens

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def to_json(
    tokens: Sequence[bytes],
    merges: Sequence[tuple[int, int]],
    special_tokens: Mapping[str, int],
    split_digits: bool = False,
) -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    names = [to_visible(token) for token in tokens]
    for name, token_id in special_tokens.items():
        names[token_id] = name
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(name, token_id) for name, token_id in special_tokens.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [_DIGITS, _BYTE_LEVEL]} if split_digits else _BYTE_LEVEL,
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {name: token_id for token_id, name in enumerate(names)},
            "merges": [f"{names[left]} {names[right]}" for left, right in merges],
        },
    }


def from_json(data: Mapping[str, Any]) -> tuple[*Parts, bool]:
    """The tokens, merges and special tokens of a `tokenizer.json`, and whether it splits digits.

    Raises ValueError, with what was wrong, where it is broken or asks for more than byte-level BPE does.
    """
    data, split_digits = _without_digits(data)
    _check_pipeline(data)
    model = expect(data.get("model"), dict, "model")
    if model.get("type", "BPE") != "BPE":
        raise ValueError(f"model.type is {model['type']!r}, but only byte-level BPE is read here: it must be 'BPE'")
    options = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
    for option in options:
        if model.get(option):
            raise ValueError(f"model.{option} is {model[option]!r}, which is not supported: it must be null or false")
    special_tokens = read_special_tokens(data)
    merges = expect(model.get("merges"), list, "model.merges")
    return *from_vocab(expect(model.get("vocab"), dict, "model.vocab"), merges, special_tokens), split_digits


def _without_digits(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The same file with ByteLevel alone, where each digit is cut out before; and whether it is."""
    steps = data.get("pre_tokenizer")
    steps = steps.get("pretokenizers") if isinstance(steps, dict) and steps.get("type") == "Sequence" else None
    if not isinstance(steps, list) or len(steps) != 2 or steps[0] != _DIGITS:
        return data, False
    return {**data, "pre_tokenizer": steps[1]}, True


def from_vocab(vocab: Mapping[str, Any], merges: Sequence[Any], special_tokens: Mapping[str, Any]) -> Parts:
    """The same from the vocabulary, the merges (`"a b"` or `["a", "b"]`) and the special tokens."""
    names = names_by_id(vocab, special_tokens)
    tokens = [name.encode("utf-8") if name in special_tokens else from_visible(name) for name in names]
    return tokens, [_merge(merge, vocab) for merge in merges], dict(special_tokens)


def names_by_id(vocab: Mapping[str, Any], special_tokens: Mapping[str, Any]) -> list[str]:
    """The tokens as they are written, each at its id. Raises ValueError where an id is wrong, lacking or doubled."""
    for name, token_id in special_tokens.items():
        if name in vocab and vocab[name] != token_id:
            raise ValueError(f"the special token {name!r} has the id {token_id}, but {vocab[name]} in the vocabulary")
    names: dict[int, str] = {}
    for name, token_id in {**vocab, **special_tokens}.items():
        if type(token_id) is not int:
            raise ValueError(f"the id of the token {name!r} must be an integer, got {token_id!r}")
        if token_id in names:
            raise ValueError(f"the token {name!r} has the id {token_id}, which another token has too")
        names[token_id] = name
    gap = next((token_id for token_id in range(len(names)) if token_id not in names), None)
    if gap is not None:
        raise ValueError(f"the ids of {len(names):,} tokens must be 0 to {len(names) - 1:,}, but {gap} is missing")
    return [names[token_id] for token_id in range(len(names))]


def read_merges(path: str | os.PathLike) -> list[str]:
    """The merges of a `merges.txt`: one a line, the best first, after a line with the version."""
    try:
        lines = Path(path).read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8, so no merges file ({error}): get the file again") from None
    return [line for line in lines if line and not line.startswith("#version")]


def _check_pipeline(data: Mapping[str, Any]) -> None:
    """Raise ValueError where a step of the pipeline does anything but byte-level BPE."""
    if data.get("normalizer") is not None:
        raise ValueError("it has a normalizer, which would change the text: only files without one are read here")
    for step in ("pre_tokenizer", "decoder", "post_processor"):
        options = data.get(step)
        if options is None and step != "pre_tokenizer":
            continue
        kind = options.get("type") if isinstance(options, dict) else options
        if step == "post_processor" and kind == "TemplateProcessing" and _adds_nothing(options):
            continue
        if kind != "ByteLevel":
            raise ValueError(f"its {step} must be 'ByteLevel' as in GPT-2, got {kind!r}, which is not supported")
    pre_tokenizer = data["pre_tokenizer"]
    if pre_tokenizer.get("add_prefix_space", True) or not pre_tokenizer.get("use_regex", True):
        raise ValueError("its pre_tokenizer must have add_prefix_space false and use_regex true, as GPT-2's")


def _adds_nothing(template: Mapping[str, Any]) -> bool:
    """Whether a template is the text itself: transformers writes such a one for a tokenizer without bos and eos."""
    return template.get("single") == [{"Sequence": {"id": "A", "type_id": 0}}]


def read_special_tokens(data: Mapping[str, Any]) -> dict[str, Any]:
    """The name and id of each added token. Raises ValueError where one is not special, or has options."""
    special_tokens = {}
    for added in expect(data.get("added_tokens") or [], list, "added_tokens"):
        added = expect(added, dict, "an added token")
        name = expect(added.get("content"), str, "the content of an added token")
        check_text(name)
        if name in special_tokens:
            raise ValueError(f"the added token {name!r} comes twice")
        if any(added.get(option) for option in ("single_word", "lstrip", "rstrip")):
            raise ValueError(f"the added token {name!r} has single_word, lstrip or rstrip, which is not supported")
        if not added.get("special"):
            raise ValueError(f"the added token {name!r} is not special, which is not supported")
        special_tokens[name] = added.get("id")
    return special_tokens


def added_token(name: str, token_id: int) -> dict[str, Any]:
    options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": name, **options}


def _merge(merge: Any, vocab: Mapping[str, int]) -> tuple[int, int]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"a merge must be 'a b' or ['a', 'b'], got {merge!r}")
    for part in parts:
        if part not in vocab:
            raise ValueError(f"the merge {merge!r} names {part!r}, which is not in the vocabulary")
    return vocab[parts[0]], vocab[parts[1]]


def expect(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
    return value
