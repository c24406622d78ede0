"""KVCache: which positions come next, padding, and texts that go on from another one's tokens."""

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor, no_grad
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import KVCache, kv_cache


def filled(n_tokens: int) -> tuple[KVCache, np.ndarray]:
    """A cache of three texts, and the keys in it, (3, 2, n, 4); values are their negatives."""
    cache = KVCache(n_layers=2, batch_size=3, n_heads=2, max_seq_len=6, head_dim=4)
    keys = np.random.default_rng(0).standard_normal((3, 2, n_tokens, 4)).astype(np.float32)
    for layer in cache.layers:
        layer.append(Tensor(keys), Tensor(-keys))
    return cache, keys


def test_positions_go_on_after_the_tokens_in_it():
    cache, _ = filled(2)
    assert cache.positions(3).tolist() == [2, 3, 4]
    cache.reset()
    assert cache.positions(2).tolist() == [0, 1]


def test_padding_does_not_count():
    cache, keys = filled(2)
    cache.reset(np.array([0, 2, 1]))
    assert cache.length == 0
    assert cache.positions(3).tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]
    cache.layers[0].append(Tensor(keys), Tensor(keys))
    cache.layers[1].append(Tensor(keys), Tensor(keys))
    assert cache.positions(1).tolist() == [[2], [0], [1]]
    cache.reset()
    assert cache.positions(1).tolist() == [0]


@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 2, 0], [1, 2, 0], [1], [0, 0, 1, 1, 2]])
def test_select(rows):
    cache, keys = filled(4)
    for layer in cache.layers:
        layer.padding = np.array([0, 2, 1])
    cache.select(np.array(rows))
    assert cache.length == 4
    for layer in cache.layers:
        assert layer.keys.shape == (len(rows), 2, 6, 4)
        np.testing.assert_array_equal(layer.keys[:, :, :4], keys[rows])
        np.testing.assert_array_equal(layer.values[:, :, :4], -keys[rows])
        assert layer.padding.tolist() == [[0, 2, 1][row] for row in rows]


def test_padding_needs_one_number_per_text():
    cache, _ = filled(1)
    with pytest.raises(ValueError, match=r"padding must have shape \(3,\), one number per text, got \(2,\)"):
        cache.reset(np.zeros(2, np.int64))


@pytest.mark.parametrize("chunks", [[5], [3, 2], [1, 1, 1, 1, 1], [2, 1, 2]])
def test_tokens_after_padding_are_read_as_without_it(chunks):
    """However they are cut: all at once, or some and then more."""
    model = GPT(GPTConfig(13, 8, n_layers=2, n_heads=2, d_model=8, dropout=0.0), np.random.default_rng(0))
    ids, padding = np.random.default_rng(1).integers(0, 13, (3, 5)), np.array([0, 2, 4])
    cache, outs, start = model.new_cache(3), [], 0
    cache.reset(padding)
    with no_grad():
        for n in chunks:
            outs.append(model(ids[:, start : start + n], cache).data)
            start += n
        logits = np.concatenate(outs, axis=1)
        for row, n in enumerate(padding):
            expected = model(ids[row : row + 1, n:]).data[0]
            np.testing.assert_allclose(logits[row, n:], expected, atol=1e-6)
        assert np.isfinite(logits).all()


def test_places_grow_as_tokens_come(monkeypatch):
    """In any chunks; nothing is lost, and there are never more than the model can read."""
    monkeypatch.setattr(kv_cache, "FIRST_PLACES", 2)
    cache = KVCache(n_layers=1, batch_size=2, n_heads=3, max_seq_len=11, head_dim=4)
    keys = np.random.default_rng(0).standard_normal((2, 3, 11, 4)).astype(np.float32)
    places, end = [], 0
    for chunk in (1, 1, 1, 2, 5, 1):
        new = Tensor(keys[:, :, end : end + chunk])
        got, _ = cache.layers[0].append(new, Tensor(-new.data))
        end += chunk
        np.testing.assert_array_equal(got.data, keys[:, :, :end])
        np.testing.assert_array_equal(cache.layers[0].values[:, :, :end], -keys[:, :, :end])
        places.append(cache.layers[0].keys.shape[2])
    assert places == [2, 2, 4, 8, 11, 11]
    assert repr(cache) == "KVCache(1 layers, B=2, H=3, D=4, 11 of 11 tokens)"
    with pytest.raises(ValueError, match="1 more tokens do not fit: 11 of 11 places are filled"):
        cache.layers[0].append(Tensor(keys[:, :, :1]), Tensor(keys[:, :, :1]))


def test_a_model_reads_on_while_places_grow(monkeypatch):
    monkeypatch.setattr(kv_cache, "FIRST_PLACES", 3)
    model = GPT(GPTConfig(11, 16, 2, 2, 8), np.random.default_rng(0)).eval()
    ids = np.random.default_rng(1).integers(0, 11, (2, 16))
    with no_grad():
        cache, expected = model.new_cache(2), model(ids).data
        for start, stop in ((0, 2), (2, 3), (3, 4), (4, 9), (9, 16)):
            got = model(ids[:, start:stop], cache).data
            np.testing.assert_allclose(got, expected[:, start:stop], rtol=1e-4, atol=1e-5)
