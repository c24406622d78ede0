"""Makes the golden values of the WordPiece tests with Hugging Face's tokenizers and transformers.

Run from the project's folder: `python tests/golden/make_wordpiece_golden.py` (needs the extra `compare`).
It writes, beside itself:
- wordpiece_vocab.txt           a vocabulary that Hugging Face trained on TRAINING_TEXT
- wordpiece_hf_tokenizer.json   the same as transformers saves it
- wordpiece_golden.json         for each of OPTIONS and STRINGS the ids and offsets; what the ids decode to; pairs

The strings hold no character that Unicode got after version 8 (2015): Hugging Face's tables are that old.
"""

import json
import tempfile
from pathlib import Path

from make_text_golden import STRINGS as TEXTS
from make_text_golden import TRAINING_TEXT as MIXED_TEXT
from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizer

from tinygrad_llm.text import WordPieceTokenizer

FOLDER = Path(__file__).parent
VOCAB_SIZE = 700
OPTIONS = [
    {},
    {"do_lower_case": False},
    {"strip_accents": False},
    {"do_lower_case": False, "strip_accents": True},
    {"tokenize_chinese_chars": False},
]
MORE_TEXT = """\
Ο Σίσυφος και η οδός, ΟΔΟΣ ΣΊΣΥΦΟΣ. Straße, İstanbul, ılık, Ångström, Dvořák, phở, São Paulo, naïve façade.
שָׁלוֹם עולם. مَرْحَبًا بالعالم، كيف الحال؟ हिन्दी में नमस्ते दुनिया। ไทยนี้ 東京タワーへ行きました。ガギグゲゴ 한국어 텍스트
I'm sure it's $5 + 3 = 8, isn't it? ~x^2 <y> `code` a|b; un affable unaffable able ##ing 100%.
"""
TRAINING_TEXT = 3 * (MIXED_TEXT + MORE_TEXT + MIXED_TEXT.lower() + MORE_TEXT.lower())

STRINGS = [
    *TEXTS,
    "Ο Σίσυφος και η οδός, ΟΔΟΣ ΣΊΣΥΦΟΣ.",
    "Straße İstanbul ılık Ångström A\u030angstro\u0308m Ą\u0301 phở Phơ\u0309",
    "שָׁלוֹם עולם مَرْحَبًا بالعالم، كيف الحال؟ هـٰذَا",
    "हिन्दी में नमस्ते दुनिया। क्षत्रिय ज़ड़ढ़",
    "ไทยนี้ กำ ກຳ",
    "東京タワーへ行きました。ガギグゲゴ か\u3099 ｶﾞ",
    "한국어 텍스트 각 \u1100\u1161\u11a8",
    "e\u0301\u0302\u0323 q\u0307\u0323 q\u0323\u0307 \u0301alone \u20dd",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u061ch",
    "a\u00a0b\u1680c\u2003d\u2028e\u2029f\u202fg\u205fh\u3000i\u0085j\u000bk\u000cl\u001cm\u001fn",
    "a\x00b\x01c\x7fd\x9fe\ufffdf",
    "\ue000private\uf8ff \U000f0000use",
    "unassigned\u0378\U000e0080 noncharacter\ufdd0",
    "$+<=>^`|~ !\"#%&'()*,-./:;?@[\\]_{} €£¥¢ ±×÷ °§¶ «quoted» „low“ ‚x‘ …—–‐‑ ・〽《》",
    "don't can't I'm she's we've they're o'clock rock 'n' roll ' .",
    "a . b ? c ! d , e ; f : g",
    "[CLS] [SEP][PAD]a[MASK]b[UNK] [MASK]. [ MASK ] [mask] [CLS [SEP",
    "##ing ##able un##able # #",
    "unaffable unaffables UNAFFABLE unzzzqqq qqq",
    "a" * 100 + " " + "a" * 101 + " " + "é" * 100 + " " + "é" * 101,
    "文" * 120,
    "文字text文\u3400\uf900\U00020000\U0002a700\U0002b820\U0002b920\U0002f800a",
    "ﬁ ﬂ ｆｕｌｌ Ⅷ ² ½ ª ǆ ŉ K Å Ω",
    "👩‍👩‍👧 🏳️‍🌈 ☺\ufe0f ❤",
    "\u0301",
    "\ud7ff\ue000\U0010ffff",
    "1,000.50 2016-05-06 3.14e-10 v1.2.3 a@b.c http://x.y/z?q=1&r=2#s",
]
PAIRS = [["Who was Sisyphus?", "The lowest [MASK]."], ["a", ""], ["", "b"], ["[SEP]", "é 文"]]


def main() -> None:
    path = FOLDER / "wordpiece_vocab.txt"
    train_vocab(path)
    golden = {"strings": STRINGS, "pairs": PAIRS, "cases": []}
    for options in OPTIONS:
        theirs, ours = BertTokenizer(vocab=str(path), **options), WordPieceTokenizer.load_vocab(path, **options)
        encodings = [theirs._tokenizer.encode(text) for text in STRINGS]
        case = {
            "options": options,
            "ids": [encoding.ids for encoding in encodings],
            "offsets": [[place for span in encoding.offsets for place in span] for encoding in encodings],
            "decoded": [theirs.decode(encoding.ids) for encoding in encodings],
            "decoded_words": [theirs.decode(encoding.ids, skip_special_tokens=True) for encoding in encodings],
        }
        golden["cases"].append(case)
        for text, encoding in zip(STRINGS, encodings, strict=True):
            assert ours.encode(text) == encoding.ids == theirs(text)["input_ids"], (options, text)
    theirs = BertTokenizer(vocab=str(path))
    encodings = [theirs._tokenizer.encode(*pair) for pair in PAIRS]
    golden["pair_ids"] = [encoding.ids for encoding in encodings]
    golden["pair_types"] = [encoding.type_ids for encoding in encodings]
    (FOLDER / "wordpiece_golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        saved = Path(folder, "tokenizer.json").read_text(encoding="utf-8")
    (FOLDER / "wordpiece_hf_tokenizer.json").write_text(saved, encoding="utf-8")
    print(f"{len(STRINGS)} strings, {len(OPTIONS)} sets of options: equal")


def train_vocab(path: Path) -> None:
    trainer = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    trainer.train_from_iterator([TRAINING_TEXT], vocab_size=VOCAB_SIZE, min_frequency=2, show_progress=False)
    vocab = trainer.get_vocab()
    path.write_text("".join(f"{token}\n" for token in sorted(vocab, key=vocab.get)), encoding="utf-8")


if __name__ == "__main__":
    main()
