"""WordPiece's files: Hugging Face's `tokenizer.json` and BERT's `vocab.txt`, whole and broken."""

import copy
import json
from pathlib import Path

import pytest
from text_checks import set_at

from tinygrad_llm.text import BPETokenizer, WordPieceTokenizer, load_tokenizer
from tinygrad_llm.text.wordpiece import SPECIAL_TOKENS
from tinygrad_llm.text.wordpiece_json import from_json

FOLDER = Path(__file__).parent / "golden"
VOCAB = FOLDER / "wordpiece_vocab.txt"
TOKENIZER = WordPieceTokenizer.load_vocab(VOCAB)
HF_FILE = json.loads((FOLDER / "wordpiece_hf_tokenizer.json").read_text(encoding="utf-8"))


def test_files_of_hugging_face_and_ours_hold_the_same(tmp_path):
    theirs = load_tokenizer(FOLDER / "wordpiece_hf_tokenizer.json")
    TOKENIZER.save(tmp_path / "tokenizer.json")
    ours = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert ours == HF_FILE
    for other in (theirs, load_tokenizer(tmp_path)):
        assert (other.tokens, other.special_tokens, other.options) == (
            TOKENIZER.tokens,
            TOKENIZER.special_tokens,
            TOKENIZER.options,
        )


def test_save_and_load(tmp_path):
    tokenizer = WordPieceTokenizer.train("Ab ab naïve", 100, 1, do_lower_case=False, strip_accents=True)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path)
    assert (loaded.tokens, loaded.options) == (tokenizer.tokens, tokenizer.options)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_folder_of_a_bert(tmp_path, newline):
    TOKENIZER.save_vocab(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes() == VOCAB.read_bytes()
    (tmp_path / "vocab.txt").write_bytes(newline.join(TOKENIZER.tokens).encode("utf-8"))
    for path in (tmp_path, tmp_path / "vocab.txt"):
        assert load_tokenizer(path).tokens == TOKENIZER.tokens
        assert load_tokenizer(path).options["do_lower_case"]
    config = {"do_lower_case": False, "strip_accents": None, "tokenizer_class": "BertTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    for path in (tmp_path, tmp_path / "vocab.txt"):
        assert not load_tokenizer(path).options["do_lower_case"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": "no"}')
    with pytest.raises(ValueError, match="do_lower_case must be True or False, got 'no'"):
        load_tokenizer(tmp_path)


def test_broken_vocabularies(tmp_path):
    path = tmp_path / "vocab.txt"
    for raw, message in (
        (b"", r"lacks \[UNK\], \[CLS\], \[SEP\]"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[UNK]\n[CLS]\n[SEP]\na\nb\na\n", r"vocab\.txt: the token 'a' comes twice, with the ids 3 and 5"),
    ):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=message):
            load_tokenizer(path)
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "other.txt")
    with pytest.raises(ValueError, match="holds a line end"):
        WordPieceTokenizer([*SPECIAL_TOKENS, "a\nb"]).save_vocab(path)


BROKEN = {
    "other unknown": (set_at("model", "unk_token", "<unk>"), "BERT's is '\\[UNK\\]'"),
    "other prefix": (set_at("model", "continuing_subword_prefix", "@@"), "model.continuing_subword_prefix"),
    "other length": (set_at("model", "max_input_chars_per_word", 50), "BERT's is 100"),
    "vocab no dict": (set_at("model", "vocab", ["a"]), "model.vocab must be a dict"),
    "id no integer": (set_at("model", "vocab", "a", "9"), "'a' must be an integer"),
    "id twice": (set_at("model", "vocab", "a", 9), "another token has too"),
    "no normalizer": (set_at("normalizer", None), "normalizer must be 'BertNormalizer'"),
    "other normalizer": (set_at("normalizer", "type", "NFC"), "got 'NFC'"),
    "not cleaned": (set_at("normalizer", "clean_text", False), "clean_text true"),
    "odd option": (set_at("normalizer", "lowercase", 1), "do_lower_case must be True or False, got 1"),
    "other pre-tokenizer": (set_at("pre_tokenizer", {"type": "Whitespace"}), "pre_tokenizer must be 'BertPreT"),
    "other decoder": (set_at("decoder", "prefix", ""), "its decoder must be"),
    "other template": (set_at("post_processor", "pair", []), "its post_processor must add"),
    "added not special": (set_at("added_tokens", 0, "special", False), "is not special"),
    "added empty": (set_at("added_tokens", 0, {"id": 700, "content": "", "special": True}), "'' is empty"),
    "added elsewhere": (set_at("added_tokens", 0, "id", 9), "has the id 9, but 0"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_content_is_named(tmp_path, change, message):
    data = copy.deepcopy(HF_FILE)
    change(data)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert "tokenizer.json" in str(error.value)


def test_other_spellings_of_the_file():
    data = copy.deepcopy(HF_FILE)
    data["truncation"] = {"max_length": 128, "strategy": "LongestFirst", "stride": 0}
    data["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    del data["model"]["type"], data["decoder"]
    assert from_json(data)[0] == TOKENIZER.tokens
    data["added_tokens"].append({"id": 700, "content": "[ENT]", "special": True})
    tokens, special_tokens, options = from_json(data)
    tokenizer = WordPieceTokenizer(tokens, special_tokens, **options)
    assert tokenizer.encode("a[ENT]") == [2, TOKENIZER.encode("a")[1], 700, 3]


def test_the_wrong_kind(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="normalizer"):
        BPETokenizer.load(tmp_path / "tokenizer.json")
    BPETokenizer.from_merges([]).save(tmp_path / "bpe.json")
    with pytest.raises(ValueError, match=r"bpe\.json.*'BPE'"):
        WordPieceTokenizer.load(tmp_path / "bpe.json")
