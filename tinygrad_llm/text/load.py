"""Loading a tokenizer without knowing its kind."""

import os
from pathlib import Path

from .bpe import BPETokenizer
from .char import FORMAT, CharTokenizer
from .checks import read_json


def load_tokenizer(path: str | os.PathLike) -> BPETokenizer | CharTokenizer:
    """The tokenizer in a file, or in a model's folder (`tokenizer.json`, or `vocab.json` and `merges.txt`).

    Raises FileNotFoundError where there is none, ValueError where the file is broken.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "tokenizer.json").exists() and (path / "merges.txt").exists():
            return BPETokenizer.load_gpt2(path / "vocab.json", path / "merges.txt")
        path = path / "tokenizer.json"
    is_char = read_json(path).get("type") == FORMAT
    return CharTokenizer.load(path) if is_char else BPETokenizer.load(path)
