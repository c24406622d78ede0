"""Makes the golden values of the tokenizer tests with Hugging Face tokenizers and tiktoken.

Run from the project's folder: `python tests/golden/make_text_golden.py` (needs the extra `compare`).
It writes, beside itself:
- text_hf_tokenizer.json   a tokenizer that Hugging Face trained on TRAINING_TEXT and saved
- text_golden.json         the training text, the merges, and for each of STRINGS its words and ids
"""

import json
from pathlib import Path

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from tinygrad_llm.text import GPT2_PATTERN, BPETokenizer

FOLDER = Path(__file__).parent
VOCAB_SIZE = 640
END_OF_TEXT = "<|endoftext|>"

PARAGRAPHS = [
    "A tokenizer cuts text into pieces that a model can count. It doesn't understand them; it's only a table "
    "of pieces and numbers. The pieces that occur often become long, the rare ones stay short, and so the "
    "same text takes fewer numbers than it has letters.",
    "def merge(ids, pair, new_id):\n    out = []\n    i = 0\n    while i < len(ids):\n"
    "        if ids[i:i + 2] == pair:\n            out.append(new_id)\n            i += 2\n"
    "        else:\n            out.append(ids[i])\n            i += 1\n    return out",
    "The lower the newer, the wider the newest: low, lower, lowest; new, newer, newest; wide, wider, widest. "
    "We'll see that they're merged, I've said so, you'd think so, and I'm sure he's right.",
    "分词器把文本切成小块，模型可以数这些小块。常见的小块变长，少见的小块保持短小。文本的每一个字都可以写成字节。",
    "In 1994 it was 12 pages, in 2016 it was 300, in 2019 it was 50,257 tokens; aaa aaaa aaaaa aaaaaaa, ababab babab.",
    "Größe, naïve café, smörgåsbord; Привет, мир! Привет, слова; 😀😀 🎉 👩‍👩‍👧 😀.",
]
TRAINING_TEXT = "\n\n".join([*PARAGRAPHS, *reversed(PARAGRAPHS), PARAGRAPHS[0], PARAGRAPHS[3]]) + "\n"

STRINGS = [
    "",
    " ",
    "a",
    "Hello, world!",
    "the newest tokenizer doesn't understand the lowest pieces",
    "  two  spaces  ",
    "tabs\tand\nnewlines\n\n\nand\r\nCRLF\r\n",
    "trailing spaces   \n   leading spaces",
    "'s't're've'm'll'd 'S'T'RE I'm I'M we'LL",
    "’s curly apostrophes don’t count",
    "1234567890 3.14159 50,257 ½ ² Ⅷ ٣٤",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababa babababab",
    "    indented = code[i:i + 2] == pair  # comment",
    "snake_case camelCase kebab-case __init__",
    "分词器把文本切成小块，未见过的字：龘靐齉。",
    "中文 and English 混合 text",
    "Привет, мир! Ещё слово",
    "日本語のテキスト、한국어 텍스트, ไทย, हिन्दी",
    "e\u0301 combining vs é precomposed; a\u0300\u0301\u0302",
    "😀 👩‍👩‍👧 🏳️‍🌈 🇩🇪",
    "\u00a0no-break\u00a0space\u3000ideographic\u2003em",
    "zero\u200bwidth\u200djoiner\ufeffBOM",
    "\x00\x01\x02\x1b[31mcontrol\x7f\x85next line\x1c\x1d\x1e\x1f",
    "right-to-left: שלום עולם مرحبا",
    "math: ∀x∈ℝ, ∫₀¹ x² dx = ⅓ ≠ ∞",
    "!!!???...,,,;;;:::---___===+++***///",
    "https://example.org/a_b?c=d&e=f#g user@example.org",
    "\U0001d573\U0001d58a\U0001d591\U0001d591\U0001d594 \U00020000\U0010ffff\uffff",
    "end<|endoftext|>start <|endoftext|>",
    "\n",
    "\n\n  \n",
    "ﬁ ligature, ß, İstanbul, ǆ",
]


def main() -> None:
    hugging_face = tokenizers.Tokenizer(models.BPE())
    hugging_face.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    hugging_face.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 1,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    hugging_face.train_from_iterator([TRAINING_TEXT], trainer)
    # Without the special token, its name is plain text, as it is by default in tinygrad_llm.
    plain_ids = [hugging_face.encode(text).ids for text in STRINGS]
    words = [
        [word for word, _ in hugging_face.pre_tokenizer.pre_tokenize_str(text)] if text else [] for text in STRINGS
    ]
    hugging_face.add_special_tokens([END_OF_TEXT])
    special_ids = [hugging_face.encode(text).ids for text in STRINGS]
    hugging_face.save(str(FOLDER / "text_hf_tokenizer.json"))

    vocab = hugging_face.get_vocab()
    merges = json.loads(hugging_face.to_str())["model"]["merges"]
    golden = {
        "versions": {"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__},
        "training_text": TRAINING_TEXT,
        "vocab_size": hugging_face.get_vocab_size(),
        "merges": [[vocab[left], vocab[right]] for left, right in merges],
        "strings": STRINGS,
        "words": words,
        "plain_ids": plain_ids,
        "special_ids": special_ids,
        "tiktoken_ids": tiktoken_ids(vocab),
    }
    text = json.dumps(golden, ensure_ascii=True, indent=1, separators=(",", ":"))
    (FOLDER / "text_golden.json").write_text(text + "\n", encoding="utf-8")
    check_that_hugging_face_reads_ours(special_ids)


def tiktoken_ids(vocab: dict[str, int]) -> list[list[int]]:
    """The ids that tiktoken gives with the same vocabulary; a token's rank is its id there."""
    to_byte = {visible: byte for byte, visible in tiktoken_byte_names().items()}
    ranks = {bytes(to_byte[c] for c in name): i for name, i in vocab.items() if name != END_OF_TEXT}
    encoding = tiktoken.Encoding(
        "golden",
        pat_str=GPT2_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: vocab[END_OF_TEXT]},
    )
    return [encoding.encode(text, allowed_special="all") for text in STRINGS]


def tiktoken_byte_names() -> dict[int, str]:
    """GPT-2's visible character for each byte, as `tiktoken.load` makes it."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}


def check_that_hugging_face_reads_ours(special_ids: list[list[int]]) -> None:
    path = FOLDER / "text_ours.tmp.json"
    BPETokenizer.train(TRAINING_TEXT, VOCAB_SIZE, [END_OF_TEXT]).save(path)
    try:
        theirs = tokenizers.Tokenizer.from_file(str(path))
    finally:
        path.unlink()
    for text, ids in zip(STRINGS, special_ids, strict=True):
        assert theirs.encode(text).ids == ids, text
        assert theirs.decode(ids, skip_special_tokens=False) == text
    print("Hugging Face tokenizers reads our file and gives the same ids")


if __name__ == "__main__":
    main()
