"""Loading a tokenizer without knowing its kind."""

import os
from pathlib import Path

from ..files import read_json
from .bpe import BPETokenizer
from .char import FORMAT, CharTokenizer
from .wordpiece import WordPieceTokenizer
from .wordpiece_json import OPTIONS, is_wordpiece

Tokenizer = BPETokenizer | CharTokenizer | WordPieceTokenizer


def load_tokenizer(path: str | os.PathLike) -> Tokenizer:
    """The tokenizer in a file, or in a model's folder.

    In a folder it is `tokenizer.json`, or else GPT-2's `vocab.json` and `merges.txt`, or else BERT's `vocab.txt`, with
    the settings of `tokenizer_config.json` if there is one.
    Raises FileNotFoundError where there is none, ValueError where the file is broken.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "tokenizer.json").exists():
            path = path / "tokenizer.json"
        elif (path / "merges.txt").exists():
            return BPETokenizer.load_gpt2(path / "vocab.json", path / "merges.txt")
        else:
            path = path / ("vocab.txt" if (path / "vocab.txt").exists() else "tokenizer.json")
    if path.suffix == ".txt":
        return _load_vocab(path)
    data = read_json(path)
    if data.get("type") == FORMAT:
        return CharTokenizer.load(path)
    return WordPieceTokenizer.load(path) if is_wordpiece(data) else BPETokenizer.load(path)


def _load_vocab(path: Path) -> WordPieceTokenizer:
    """BERT's `vocab.txt`, which does not say whether the words in it are lower-cased: the file beside it does."""
    config_path = path.with_name("tokenizer_config.json")
    config = read_json(config_path) if config_path.exists() else {}
    return WordPieceTokenizer.load_vocab(path, **{name: config[name] for name in OPTIONS if name in config})
