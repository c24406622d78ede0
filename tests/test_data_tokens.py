"""Token files and batches."""

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import (
    Document,
    RandomBatches,
    TokenWriter,
    join_documents,
    open_tokens,
    read_token_header,
    sequential_batches,
    token_file,
    write_tokens,
)


class ByteTokenizer:
    """UTF-8 bytes, and perhaps an end-of-text token."""

    def __init__(self, eos_id=None, vocab_size=257):
        self.eos_id, self.vocab_size = eos_id, vocab_size

    def encode(self, text):
        return list(text.encode("utf-8"))


DOCUMENTS = [Document("Hello,\nwörld", "a"), Document("second", "b"), Document("三", "c")]


def test_documents_end_with_eos(tmp_path):
    header = write_tokens(tmp_path / "t", DOCUMENTS, ByteTokenizer(eos_id=256))
    tokens = open_tokens(tmp_path / "t")
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == np.uint16
    assert not tokens.flags.writeable
    expected = [token for document in DOCUMENTS for token in [*document.text.encode(), 256]]
    np.testing.assert_array_equal(tokens, expected)
    assert header == read_token_header(tmp_path / "t")
    assert (header.n_tokens, header.n_documents, header.vocab_size) == (len(expected), 3, 257)
    assert header.text_bytes == len(join_documents(DOCUMENTS).encode())


def test_documents_without_eos_are_apart_by_a_blank_line(tmp_path):
    header = write_tokens(tmp_path / "t", iter(DOCUMENTS), ByteTokenizer())
    assert bytes(open_tokens(tmp_path / "t").astype(np.uint8)).decode() == join_documents(DOCUMENTS)
    assert header.text_bytes == header.n_tokens


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32), (200_000, np.uint32)])
def test_dtype_fits_the_vocabulary(tmp_path, vocab_size, dtype):
    eos_id = vocab_size - 1
    write_tokens(tmp_path / "t", DOCUMENTS, ByteTokenizer(eos_id, vocab_size))
    tokens = open_tokens(tmp_path / "t")
    assert tokens.dtype == dtype
    assert tokens[-1] == eos_id


def test_long_documents_go_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(token_file, "PIECE_CHARACTERS", 50)
    text = "".join(f"line {i} of a text\n" for i in range(100)) + "ö" * 120
    seen = []
    header = write_tokens(tmp_path / "t", [Document(text, "a")], ByteTokenizer(), progress=seen.append)
    assert bytes(open_tokens(tmp_path / "t").astype(np.uint8)).decode() == text
    assert len(seen) > 20
    assert seen[-1] == header
    assert all(a.n_tokens < b.n_tokens for a, b in itertools.pairwise(seen[:-1]))


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    def peak(n_documents):
        documents = (Document("word " * 20_000, str(i)) for i in range(n_documents))
        tracemalloc.start()
        write_tokens(tmp_path / "t", documents, ByteTokenizer(eos_id=256))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(20) < 1.2 * peak(4)


def test_two_files_in_one_pass(tmp_path):
    tokenizer = ByteTokenizer(eos_id=256)
    with TokenWriter(tmp_path / "a", tokenizer) as first, TokenWriter(tmp_path / "b", tokenizer) as second:
        for document in DOCUMENTS:
            (second if document.source == "b" else first).add(document)
    write_tokens(tmp_path / "expected", [DOCUMENTS[0], DOCUMENTS[2]], tokenizer)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "expected").read_bytes()
    assert read_token_header(tmp_path / "b").n_documents == 1


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "t"
    write_tokens(path, DOCUMENTS, ByteTokenizer())
    before = path.read_bytes()

    def broken():
        yield DOCUMENTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tokens(path, broken(), ByteTokenizer())
    with pytest.raises(ValueError, match="the token id 111, but its vocab_size is 110"):
        write_tokens(path, DOCUMENTS, ByteTokenizer(vocab_size=110))
    with pytest.raises(ValueError, match="the corpus has no documents"):
        write_tokens(path, [], ByteTokenizer())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_tokens(tmp_path / "no folder" / "t", DOCUMENTS, ByteTokenizer())


@pytest.mark.parametrize("limit", [100, 5_000])
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path, limit):
    resource = pytest.importorskip("resource", reason="POSIX only")
    path = tmp_path / "t"
    write_tokens(path, DOCUMENTS, ByteTokenizer())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # writing on raises OSError, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            write_tokens(path, [Document("word " * 1_000, "a")], ByteTokenizer())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def damage(path, kind):
    raw = path.read_bytes()
    size = token_file.HEADER_BYTES
    fields = json.loads(raw[len(token_file.MAGIC) : size])
    newer = token_file.MAGIC + json.dumps({**fields, "version": 2}).encode()
    path.write_bytes(
        {
            "truncated": raw[:-1],
            "header only": raw[:100],
            "longer": raw + b"\0\0",
            "flipped": raw[:-1] + bytes([raw[-1] ^ 1]),
            "foreign": b"PK\x03\x04" + raw,
            "empty": b"",
            "header": raw.replace(b'"dtype": "uint16"', b'"dtype": "object"'),
            "newer": newer.ljust(size) + raw[size:],
        }[kind]
    )


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("truncated", "has 531 bytes where its header promises 532 .* truncated or damaged"),
        ("header only", "header of the token file '.*t' is damaged"),
        ("longer", "has 534 bytes where its header promises 532"),
        ("flipped", "do not match their checksum"),
        ("foreign", "'.*t' is not a token file of tinygrad_llm"),
        ("empty", "is not a token file"),
        ("header", "header of the token file '.*t' is damaged"),
        ("newer", "has format version 2, this program reads 1"),
    ],
)
def test_damaged_files_are_refused(tmp_path, kind, sentence):
    write_tokens(tmp_path / "t", [Document("ten bytes!", "a")], ByteTokenizer())
    damage(tmp_path / "t", kind)
    with pytest.raises(ValueError, match=sentence):
        open_tokens(tmp_path / "t")


def test_verify_false_checks_the_length_only(tmp_path):
    write_tokens(tmp_path / "t", DOCUMENTS, ByteTokenizer())
    damage(tmp_path / "t", "flipped")
    assert len(open_tokens(tmp_path / "t", verify=False)) == read_token_header(tmp_path / "t").n_tokens
    with pytest.raises(FileNotFoundError, match=r"no token file '.*nothing'"):
        open_tokens(tmp_path / "nothing")


def test_random_batches_shapes_and_shift():
    tokens = np.arange(100, dtype=np.uint16)
    batches = RandomBatches(tokens, batch_size=5, seq_len=7, seed=0)
    assert iter(batches) is batches
    x, y = next(batches)
    for array in (x, y):
        assert array.shape == (5, 7)
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
        assert array.flags.owndata
        assert type(array) is np.ndarray
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(x, x[:, :1] + np.arange(7))


def test_random_batches_start_everywhere_equally_often():
    tokens = np.arange(12)
    x, y = next(RandomBatches(tokens, batch_size=8_000, seq_len=4, seed=3))
    starts, counts = np.unique(x[:, 0], return_counts=True)
    np.testing.assert_array_equal(starts, np.arange(8))  # 0 to N - T - 1
    assert np.abs(counts - 1_000).max() < 5 * np.sqrt(1_000)
    assert y.max() == 11


def test_random_batches_resume_exactly(tmp_path):
    write_tokens(tmp_path / "t", DOCUMENTS * 5, ByteTokenizer(256))
    tokens = open_tokens(tmp_path / "t")
    batches = RandomBatches(tokens, 3, 8, seed=7)
    for _ in range(5):
        next(batches)
    state = json.loads(json.dumps(batches.state_dict()))
    expected = [next(batches) for _ in range(5)]
    resumed = RandomBatches(tokens, 3, 8, seed=99)
    resumed.load_state_dict(state)
    np.testing.assert_array_equal([next(resumed) for _ in range(5)], expected)
    resumed.load_state_dict(state)  # the state is not used up
    np.testing.assert_array_equal(next(resumed), expected[0])


def test_seeds_give_the_same_and_other_batches():
    tokens = np.arange(1_000)
    first, same, other = (RandomBatches(tokens, 4, 16, seed=seed) for seed in (1, 1, 2))
    x = next(first)[0]
    np.testing.assert_array_equal(x, next(same)[0])
    assert not np.array_equal(x, next(other)[0])


def test_random_batches_errors():
    tokens = np.arange(20)
    assert next(RandomBatches(tokens, 1, 19))[1][0, -1] == 19
    with pytest.raises(ValueError, match=r"has 20 tokens, but one window takes 21 .* more text or a shorter context"):
        RandomBatches(tokens, 1, 20)
    for batch_size, seq_len, name in ((0, 4, "batch_size"), (4, 0, "seq_len")):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            RandomBatches(tokens, batch_size, seq_len)
    for bad in (tokens.reshape(4, 5), tokens.astype(np.float32)):
        with pytest.raises(ValueError, match="one-dimensional integer array"):
            RandomBatches(bad, 1, 2)
    state = RandomBatches(tokens, 2, 4).state_dict()
    with pytest.raises(ValueError, match="seq_len=5, but the saved position was taken with seq_len=4"):
        RandomBatches(tokens, 2, 5).load_state_dict(state)
    with pytest.raises(ValueError, match="n_tokens=19"):
        RandomBatches(tokens[:19], 2, 4).load_state_dict(state)
    for rng in (None, {}, {"bit_generator": "MT19937"}):
        with pytest.raises(ValueError, match="saved position of the batches is damaged"):
            RandomBatches(tokens, 2, 4).load_state_dict({**state, "rng": rng})


@given(st.integers(2, 200), st.integers(1, 7), st.integers(1, 40))
def test_sequential_batches_cover_every_target_once(n_tokens, batch_size, seq_len):
    tokens = np.arange(n_tokens, dtype=np.uint32)
    targets = []
    for x, y in sequential_batches(tokens, batch_size, seq_len):
        assert x.shape == y.shape
        assert x.dtype == y.dtype == np.int64
        assert x.shape[0] <= batch_size
        assert x.shape[1] == seq_len or (x.shape[0] == 1 and x.shape[1] < seq_len)
        np.testing.assert_array_equal(y, x + 1)
        targets.append(y.ravel())
    np.testing.assert_array_equal(np.concatenate(targets), np.arange(1, n_tokens))


def test_sequential_batches_errors_come_at_once():
    with pytest.raises(ValueError, match="at least 2 tokens, a context and a target, got 1"):
        sequential_batches(np.arange(1), 2, 3)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        sequential_batches(np.arange(9), 0, 3)
