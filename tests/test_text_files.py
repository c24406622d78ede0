"""Tokenizer files: Hugging Face's and GPT-2's, whole, broken and hostile."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_checks import set_at

from tinygrad_llm.text import END_OF_TEXT, BPETokenizer, CharTokenizer, load_tokenizer
from tinygrad_llm.text.byte_alphabet import to_visible
from tinygrad_llm.text.hf_json import from_json, to_json

TEXT = "The lower the newer, the wider the newest: low, lower, lowest.\n分词器把文本切成小块\r\n" * 3
TOKENIZER = BPETokenizer.train(TEXT, 320, [END_OF_TEXT, "<|special token with spaces|>"])
N = TOKENIZER.vocab_size
WHOLE = to_json(TOKENIZER.tokens, TOKENIZER.merges, TOKENIZER.special_tokens)


def same(one, other):
    return (one.tokens, one.merges, one.special_tokens) == (other.tokens, other.merges, other.special_tokens)


def write(path, data):
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_save_and_load(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer.json")
    assert same(BPETokenizer.load(tmp_path / "tokenizer.json"), TOKENIZER)
    assert same(load_tokenizer(tmp_path), TOKENIZER)
    assert same(load_tokenizer(str(tmp_path / "tokenizer.json")), TOKENIZER)
    assert load_tokenizer(tmp_path).encode(TEXT) == TOKENIZER.encode(TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_saving_is_deterministic(tmp_path):
    TOKENIZER.save(tmp_path / "a.json")
    BPETokenizer.train([TEXT], 320, [END_OF_TEXT, "<|special token with spaces|>"]).save(tmp_path / "b.json")
    load_tokenizer(tmp_path / "a.json").save(tmp_path / "c.json")
    contents = {(tmp_path / name).read_bytes() for name in ("a.json", "b.json", "c.json")}
    assert len(contents) == 1


def test_both_spellings_of_merges(tmp_path):
    data = copy.deepcopy(WHOLE)
    data["model"]["merges"] = [merge.split(" ") for merge in WHOLE["model"]["merges"]]
    assert same(load_tokenizer(write(tmp_path / "pairs.json", data)), TOKENIZER)


def test_special_tokens_may_stand_first_or_outside_of_the_vocabulary(tmp_path):
    data = copy.deepcopy(WHOLE)
    del data["model"]["vocab"][END_OF_TEXT]
    assert same(load_tokenizer(write(tmp_path / "outside.json", data)), TOKENIZER)

    data = copy.deepcopy(WHOLE)
    n_ids = len(data["model"]["vocab"])
    data["model"]["vocab"] = {name: (i + 2) % n_ids for name, i in data["model"]["vocab"].items()}
    for added in data["added_tokens"]:
        added["id"] = (added["id"] + 2) % n_ids
    first = load_tokenizer(write(tmp_path / "first.json", data))
    assert first.eos_id == 0
    assert first.encode(TEXT) == [i + 2 for i in TOKENIZER.encode(TEXT)]


def write_gpt2_files(folder, newline="\n"):
    vocab = {to_visible(token): i for i, token in enumerate(TOKENIZER.tokens[:-1])}
    write(folder / "vocab.json", vocab)
    lines = ["#version: 0.2", *WHOLE["model"]["merges"], ""]
    (folder / "merges.txt").write_bytes(newline.join(lines).encode("utf-8"))
    return folder / "vocab.json", folder / "merges.txt"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_two_files_of_gpt2(tmp_path, newline):
    paths = write_gpt2_files(tmp_path, newline)
    for tokenizer in (BPETokenizer.load_gpt2(*paths), load_tokenizer(tmp_path)):
        assert tokenizer.merges == TOKENIZER.merges
        assert tokenizer.eos_id == TOKENIZER.eos_id
        assert tokenizer.encode(TEXT) == TOKENIZER.encode(TEXT)


def test_broken_files_of_gpt2(tmp_path):
    vocab, merges = write_gpt2_files(tmp_path)
    with pytest.raises(ValueError, match=r"vocab\.json.*'<pad>'"):
        BPETokenizer.load_gpt2(vocab, merges, special_tokens=["<pad>"])
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load_gpt2(vocab, tmp_path / "missing.txt")
    merges.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"merges\.txt is not UTF-8"):
        load_tokenizer(tmp_path)
    merges.write_text("a b c\n")
    with pytest.raises(ValueError, match="a merge must be"):
        load_tokenizer(tmp_path)


def test_missing_files_and_the_wrong_kind(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "missing.json")
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path)
    TOKENIZER.save(tmp_path / "bpe.json")
    with pytest.raises(ValueError, match="holds no character tokenizer"):
        CharTokenizer.load(tmp_path / "bpe.json")
    CharTokenizer.train("ab").save(tmp_path / "char.json")
    with pytest.raises(ValueError, match=r"char\.json"):
        BPETokenizer.load(tmp_path / "char.json")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe{}", b"\0" * 100, b"[" * 100_000, b'{"a": ' * 100_000, b"1" * 10_000],
    ids=["empty", "cut", "no UTF-8", "zeros", "nested lists", "nested objects", "huge number"],
)
def test_what_is_no_json(tmp_path, raw):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"tokenizer\.json' is damaged, it"):
        load_tokenizer(path)


def test_truncated_at_any_place(tmp_path):
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    raw = path.read_bytes()
    for size in range(0, len(raw), len(raw) // 40):
        path.write_bytes(raw[:size])
        with pytest.raises(ValueError, match=r"tokenizer\.json' is damaged, it"):
            load_tokenizer(path)


BROKEN = {
    "no model": (set_at("model", None), "model must be a dict"),
    "other model": (set_at("model", "type", "Unigram"), "'Unigram'"),
    "vocab no dict": (set_at("model", "vocab", ["a"]), "model.vocab must be a dict"),
    "no vocab": (set_at("model", "vocab", {}), "0 is missing"),
    "merges no list": (set_at("model", "merges", {"a": 1}), "model.merges must be a list"),
    "id no integer": (set_at("model", "vocab", "a", "64"), "'a' must be an integer, got '64'"),
    "id a boolean": (set_at("model", "vocab", "a", True), "must be an integer"),
    "id fractional": (set_at("model", "vocab", "a", 64.0), "must be an integer"),
    "id twice": (set_at("model", "vocab", "a", 65), "which another token has too"),
    "id negative": (set_at("model", "vocab", "a", -1), "64 is missing"),
    "id huge": (set_at("model", "vocab", "a", 10**30), "64 is missing"),
    "token of no bytes": (set_at("model", "vocab", "汉", N), "stands for no byte"),
    "token empty": (set_at("model", "vocab", "", N), "empty"),
    "token a surrogate": (set_at("model", "vocab", "\ud800", N), "stands for no byte"),
    "merge no pair": (set_at("model", "merges", 0, "a b c"), "a merge must be"),
    "merge of one": (set_at("model", "merges", 0, ["a"]), "a merge must be"),
    "merge of numbers": (set_at("model", "merges", 0, [1, 2]), "a merge must be"),
    "merge a number": (set_at("model", "merges", 0, 5), "a merge must be"),
    "merge null": (set_at("model", "merges", 0, None), "a merge must be"),
    "merge of unknown parts": (
        set_at("model", "merges", 0, "zzz a"),
        "'zzz', which is not in the vocabulary",
    ),
    "merge of unknown result": (
        set_at("model", "merges", 0, "z q"),
        "makes 'zq', which is not in the vocabulary",
    ),
    "merge twice": (set_at("model", "merges", 1, WHOLE["model"]["merges"][0]), "comes twice"),
    "dropout": (set_at("model", "dropout", 0.1), "model.dropout"),
    "byte fallback": (set_at("model", "byte_fallback", True), "model.byte_fallback"),
    "suffix": (set_at("model", "end_of_word_suffix", "</w>"), "end_of_word_suffix"),
    "normalizer": (set_at("normalizer", {"type": "NFC"}), "normalizer"),
    "no pre-tokenizer": (set_at("pre_tokenizer", None), "pre_tokenizer must be 'ByteLevel'"),
    "other pre-tokenizer": (set_at("pre_tokenizer", {"type": "Whitespace"}), "'Whitespace'"),
    "pre-tokenizer a word": (set_at("pre_tokenizer", "ByteLevel?"), "pre_tokenizer must be"),
    "prefix space": (
        set_at("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True}),
        "add_prefix_space",
    ),
    "prefix space by default": (set_at("pre_tokenizer", {"type": "ByteLevel"}), "add_prefix_space"),
    "no regex": (
        set_at("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}),
        "use_regex true",
    ),
    "other decoder": (set_at("decoder", {"type": "WordPiece"}), "decoder must be"),
    "adds tokens": (set_at("post_processor", {"type": "TemplateProcessing"}), "'TemplateProcessing'"),
    "added no list": (set_at("added_tokens", {"a": 1}), "added_tokens must be a list"),
    "added no dict": (set_at("added_tokens", 0, "<s>"), "an added token must be a dict"),
    "added without content": (set_at("added_tokens", 0, {"id": 1}), "content of an added token"),
    "added a surrogate": (set_at("added_tokens", 0, "content", "\ud800"), "lone surrogate"),
    "added with another id": (
        set_at("added_tokens", 0, "id", 3),
        f"has the id 3, but {N - 2} in the vocabulary",
    ),
    "added not special": (set_at("added_tokens", 0, "special", False), "is not special"),
    "added and stripped": (set_at("added_tokens", 0, "lstrip", True), "lstrip"),
    "added without id": (set_at("added_tokens", 0, "id", None), "None"),
    "added empty": (set_at("added_tokens", 0, "content", ""), "''|''"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_content_is_named(tmp_path, change, message):
    data = copy.deepcopy(WHOLE)
    change(data)
    path = write(tmp_path / "tokenizer.json", data)
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert "tokenizer.json" in str(error.value)


def test_a_vocabulary_without_all_bytes_is_refused(tmp_path):
    data = copy.deepcopy(WHOLE)
    data["model"]["vocab"]["abcdefg"] = data["model"]["vocab"].pop("~")
    with pytest.raises(ValueError, match="lacks 1 of the bytes of plain ASCII text, the first is 0x7e"):
        load_tokenizer(write(tmp_path / "tokenizer.json", data))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("ByteLevel"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "a"]), inner),
    max_leaves=6,
)
places = st.sampled_from(
    [(key,) for key in WHOLE]
    + [("model", key) for key in WHOLE["model"]]
    + [("added_tokens", 0), ("model", "merges", 0)]
)


@given(places, anything)
def test_anything_anywhere_loads_or_is_a_value_error(place, value):
    data = copy.deepcopy(WHOLE)
    set_at(*place, value)(data)
    try:
        tokenizer = BPETokenizer(*from_json(data))
    except ValueError:
        return
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
