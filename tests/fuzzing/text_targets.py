"""Tokenizer files of all kinds, and chat templates."""

from __future__ import annotations

from pathlib import Path

from tinygrad_llm.text import (
    END_OF_TEXT,
    TEMPLATES,
    BPETokenizer,
    CharTokenizer,
    WordPieceTokenizer,
    load_chat_template,
    load_tokenizer,
    save_chat_template,
    template_for,
    to_jinja,
)
from tinygrad_llm.text.byte_alphabet import to_visible

from .mutate import spoiled_bytes
from .target import SENTENCE, Target, as_json, file_target

TEXT = "the cat sat on the mat, the rat saw the cat: the mat is that of the cat. " * 3
MESSAGES = [("user", "Hi"), ("assistant", "Hello!"), ("user", "{{ 7 * 7 }} <|im_end|>")]
TARGETS = {
    **dict.fromkeys(("tokenizer-bpe", "tokenizer-wordpiece", "tokenizer-char", "tokenizer-config"), 2.0),
    **dict.fromkeys(("tokenizer-vocab-txt", "tokenizer-vocab-json", "tokenizer-merges-txt"), 2.0),
    **dict.fromkeys(("chat-template", "chat-config", "chat-jinja-file"), 2.0),
}


def use(path: Path) -> None:
    """Read the tokenizer, and give it a text; of characters it does not know a CharTokenizer says so."""
    tokenizer = load_tokenizer(path)
    known = tokenizer.characters[:20] if isinstance(tokenizer, CharTokenizer) else SENTENCE
    tokenizer.decode(tokenizer.encode(known))


def bpe() -> BPETokenizer:
    return BPETokenizer.train(TEXT, 262, [END_OF_TEXT])


def wordpiece() -> WordPieceTokenizer:
    return WordPieceTokenizer.train(TEXT, 40)


def make(name: str, folder: Path) -> Target:
    if name.startswith("chat"):
        return _chat_target(name, folder)
    kind = name.removeprefix("tokenizer-")
    if kind in ("bpe", "wordpiece", "char"):
        path = folder / "tokenizer.json"
        {"bpe": bpe, "wordpiece": wordpiece, "char": lambda: CharTokenizer.train(TEXT)}[kind]().save(path)
        return file_target(name, path, lambda: use(path))
    if kind in ("vocab-txt", "config"):
        wordpiece().save_vocab(folder / "vocab.txt")
        (folder / "tokenizer_config.json").write_bytes(as_json({"do_lower_case": True, "strip_accents": None}))
        if kind == "config":
            return file_target(name, folder / "tokenizer_config.json", lambda: use(folder))
        return file_target(name, folder / "vocab.txt", lambda: use(folder), spoil=spoiled_bytes)
    _write_gpt2(bpe(), folder)
    if kind == "vocab-json":
        return file_target(name, folder / "vocab.json", lambda: use(folder))
    return file_target(name, folder / "merges.txt", lambda: use(folder), spoil=spoiled_bytes)


def _write_gpt2(tokenizer: BPETokenizer, folder: Path) -> None:
    """Its two files, as OpenAI released them."""
    names = [to_visible(token) for token in tokenizer.tokens]
    names[tokenizer.eos_id] = END_OF_TEXT
    (folder / "vocab.json").write_bytes(as_json({name: number for number, name in enumerate(names)}))
    merges = "".join(f"{names[left]} {names[right]}\n" for left, right in tokenizer.merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")


def _chat_target(name: str, folder: Path) -> Target:
    programs = tuple(to_jinja(template).encode() for template in TEMPLATES.values())
    if name == "chat-template":

        def read(raw: bytes) -> None:
            template_for(raw.decode("utf-8", "replace")).render(MESSAGES, add_generation_prompt=True)

        return Target(name, programs, read, spoil=spoiled_bytes, names_the_file=False)

    def load() -> None:
        load_chat_template(folder).render(MESSAGES, add_generation_prompt=True)

    if name == "chat-config":
        save_chat_template(folder, TEMPLATES["llama-2"])
        return file_target(name, folder / "tokenizer_config.json", load)
    (folder / "chat_template.jinja").write_bytes(programs[0])
    return file_target(name, folder / "chat_template.jinja", load, spoil=spoiled_bytes)
