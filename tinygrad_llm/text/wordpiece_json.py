"""BERT's tokenizer files: Hugging Face's `tokenizer.json` for WordPiece, and the `vocab.txt` that it grew from.

What this package would not follow exactly is refused, as in hf_json.py, except truncation and padding, which belong to
batches and are left to those who make them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .hf_json import added_token, expect, names_by_id, read_special_tokens

OPTIONS = {  # of bert_text.py: transformers' name and the name in tokenizer.json
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_MODEL = {
    "type": "WordPiece",
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
_DECODER = {"type": "WordPiece", "prefix": "##", "cleanup": True}


def to_json(
    tokens: Sequence[str], special_tokens: Mapping[str, int], options: Mapping[str, bool | None]
) -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(name, token_id) for name, token_id in special_tokens.items()],
        "normalizer": {"type": "BertNormalizer", "clean_text": True}
        | {OPTIONS[name]: value for name, value in options.items()},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(special_tokens),
        "decoder": _DECODER,
        "model": {**_MODEL, "vocab": {token: token_id for token_id, token in enumerate(tokens)}},
    }


def is_wordpiece(data: Mapping[str, Any]) -> bool:
    """Whether the content of a `tokenizer.json` is WordPiece's; files of old do not name the type."""
    model = data.get("model")
    return isinstance(model, dict) and (
        model.get("type") == "WordPiece" or ("type" not in model and "max_input_chars_per_word" in model)
    )


def from_json(data: Mapping[str, Any]) -> tuple[list[str], list[str], dict[str, bool | None]]:
    """The tokens, the special ones among them, and the options of bert_text.py.

    Raises ValueError, with what was wrong, where it is broken or asks for more than BERT's WordPiece does.
    """
    model = expect(data.get("model"), dict, "model")
    for name, value in _MODEL.items():
        if model.get(name, value) != value:
            raise ValueError(f"model.{name} is {model[name]!r}, which is not supported: BERT's is {value!r}")
    special_tokens = read_special_tokens(data)
    tokens = names_by_id(expect(model.get("vocab"), dict, "model.vocab"), special_tokens)
    normalizer = _step(data, "normalizer", "BertNormalizer")
    if normalizer.get("clean_text", True) is not True:
        raise ValueError("its normalizer must have clean_text true, as BERT's")
    _step(data, "pre_tokenizer", "BertPreTokenizer")
    _check_decoder(data.get("decoder"))
    _check_template(data.get("post_processor"), {token: token_id for token_id, token in enumerate(tokens)})
    options = {ours: normalizer[theirs] for ours, theirs in OPTIONS.items() if theirs in normalizer}
    return tokens, list(special_tokens), options


def read_vocab(path: str | os.PathLike) -> list[str]:
    """The tokens of a `vocab.txt`: one a line, the first has the id 0."""
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8, so no vocabulary of BERT ({error}): get the file again") from None
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def _step(data: Mapping[str, Any], name: str, kind: str) -> Mapping[str, Any]:
    step = data.get(name)
    if not isinstance(step, dict) or step.get("type") != kind:
        got = step.get("type") if isinstance(step, dict) else step
        raise ValueError(f"its {name} must be {kind!r} as in BERT, got {got!r}, which is not supported")
    return step


def _check_decoder(decoder: Any) -> None:
    if decoder is not None and decoder != _DECODER:
        raise ValueError(f"its decoder must be {_DECODER} as in BERT, got {decoder!r}, which is not supported")


def _check_template(template: Any, ids: Mapping[str, int]) -> None:
    """[CLS] a [SEP], and [CLS] a [SEP] b [SEP], are all that is followed; two steps of Hugging Face's write it."""
    if template is None or "[CLS]" not in ids or "[SEP]" not in ids:
        return
    bert = {"type": "BertProcessing", "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]}
    if template not in (bert, _template(ids)):
        kind = template.get("type") if isinstance(template, dict) else template
        raise ValueError(f"its post_processor must add [CLS] a [SEP] b [SEP] as BERT's; this {kind!r} does not")


def _template(ids: Mapping[str, int]) -> dict[str, Any]:
    def special(name: str, type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": type_id}}

    def sequence(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    single = [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, sequence("B", 1), special("[SEP]", 1)],
        "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")},
    }
