"""`Seq2Seq` against PyTorch's nn.Transformer (golden/make_seq2seq_golden.py), and by its own laws."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_checks import assert_initial_weights

from tinygrad_llm.autograd import no_grad
from tinygrad_llm.data import Pair
from tinygrad_llm.data.pair_batches import (
    EncodedPair,
    PairBatches,
    collate_pairs,
    cut_source,
    encode_source,
    padding_share,
)
from tinygrad_llm.models import Seq2Seq, Seq2SeqConfig
from tinygrad_llm.nn import CrossAttention, DecoderCache, SourceCache
from tinygrad_llm.optim import AdamW
from tinygrad_llm.text import BPETokenizer, CharTokenizer

GOLDEN = np.load(Path(__file__).parent / "golden" / "seq2seq.npz")
SMALL = Seq2SeqConfig(11, max_source_len=9, max_target_len=8, n_layers=2, n_heads=2, d_model=16, d_ff=24, dropout=0.0)
RNG = np.random.default_rng(3)
SOURCE, TARGET, WANTED = (RNG.integers(11, size=(3, n)) for n in (7, 6, 6))
MASK = np.arange(7) < np.array([[7], [4], [5]])


def seq2seq(**changes) -> Seq2Seq:
    """With weights large enough that its scores are far from equal."""
    model = Seq2Seq(replace(SMALL, **changes), np.random.default_rng(0)).to("float64").eval()
    for parameter in model.parameters():
        parameter.data *= 8 if parameter.ndim == 2 else 1
    return model


NAMES = {  # ours -> PyTorch's
    r"token_embedding": "tokens",
    r"(encoder|decoder)_blocks\.(\d)": r"transformer.\1.layers.\2",
    r"(encoder|decoder)_norm": r"transformer.\1.norm",
    r"cross_attention\.(query|key|value)\.": "multihead_attn.in_proj_",
    r"cross_attention\.out": "multihead_attn.out_proj",
    r"attention\.qkv\.": "self_attn.in_proj_",
    r"attention\.out": "self_attn.out_proj",
    r"feed_forward\.up": "linear1",
    r"feed_forward\.down": "linear2",
}


def of_pytorch(kind: str, name: str) -> np.ndarray:
    theirs = name
    for pattern, replacement in NAMES.items():
        theirs = re.sub(pattern, replacement, theirs)
    array = GOLDEN[f"{kind}/{theirs}"]
    part = re.search(r"cross_attention\.(query|key|value)", name)  # in one matrix there
    return np.split(array, 3)[("query", "key", "value").index(part[1])] if part else array


@pytest.fixture
def golden_model() -> Seq2Seq:
    config = Seq2SeqConfig(17, 9, 7, n_layers=2, n_heads=3, d_model=12, d_ff=20, dropout=0.0, label_smoothing=0.1)
    model = Seq2Seq(config, np.random.default_rng(0))
    model.load_state_dict({name: of_pytorch("state", name) for name, _ in model.named_parameters()})
    return model.to("float64")


def test_it_computes_what_pytorchs_transformer_does(golden_model):
    inputs = [GOLDEN[name] for name in ("source", "source_mask", "target_in", "target_out")]
    logits = golden_model(inputs[0], inputs[2], inputs[1])
    np.testing.assert_allclose(logits.data, GOLDEN["logits"], rtol=0, atol=1e-10)
    loss = golden_model.loss(*inputs)
    assert loss.item() == pytest.approx(float(GOLDEN["smoothed_loss"]), rel=1e-12)
    loss.backward()
    for name, parameter in golden_model.named_parameters():
        np.testing.assert_allclose(parameter.grad.data, of_pytorch("grad", name), rtol=1e-5, atol=1e-7, err_msg=name)


def test_labels_are_smoothed_in_training_only(golden_model):
    inputs = [GOLDEN[name] for name in ("source", "source_mask", "target_in", "target_out")]
    assert golden_model.eval().loss(*inputs).item() == pytest.approx(float(GOLDEN["loss"]), rel=1e-12)


def test_no_target_is_seen_before_its_turn():
    model = seq2seq()
    before = model(SOURCE, TARGET, MASK).data
    for t in range(1, TARGET.shape[1]):
        changed = TARGET.copy()
        changed[:, t:] = (changed[:, t:] + 1) % 11
        after = model(SOURCE, changed, MASK).data
        np.testing.assert_array_equal(after[:, :t], before[:, :t])
        assert (np.abs(after[:, t:] - before[:, t:]).max(axis=-1) > 1e-9).all()


def test_the_gradient_of_a_score_reaches_no_later_target():
    """The position table tells: its row t gets a gradient only from scores at t and after."""
    model = seq2seq()
    model(SOURCE, TARGET, MASK)[:, 2].sum().backward()
    reached = np.abs(model.target_positions.weight.grad.data).max(axis=1) > 0
    assert reached.tolist() == [True] * 3 + [False] * 5
    assert (np.abs(model.source_positions.weight.grad.data).max(axis=1) > 0).tolist() == [True] * 7 + [False] * 2


def test_every_token_of_the_source_counts_and_no_padding():
    model = seq2seq()
    before = model(SOURCE, TARGET, MASK).data
    for s in range(SOURCE.shape[1]):
        changed = SOURCE.copy()
        changed[:, s] = (changed[:, s] + 1) % 11
        moved = np.abs(model(changed, TARGET, MASK).data - before).max(axis=-1)
        assert (moved[MASK[:, s]] > 1e-9).all()
        assert (moved[~MASK[:, s]] == 0).all()
    alone = model(SOURCE[1:2, :4], TARGET[1:2]).data
    np.testing.assert_allclose(before[1], alone[0], rtol=0, atol=1e-10)
    np.testing.assert_array_equal(model(SOURCE, TARGET, np.ones((3, 7), int)).data, model(SOURCE, TARGET).data)


def test_padded_targets_do_not_count():
    model, wanted = seq2seq(), WANTED.copy()
    wanted[1, 2:] = wanted[2, 5:] = -100
    loss = model.loss(SOURCE, MASK, TARGET, wanted).item()
    changed = TARGET.copy()
    changed[1, 2:], changed[2, 5:] = 0, 0
    assert model.loss(SOURCE, MASK, changed, wanted).item() == pytest.approx(loss, rel=1e-12)
    log_p = model(SOURCE, TARGET, MASK).log_softmax(dim=-1).data
    of_targets = np.take_along_axis(log_p, np.maximum(wanted, 0)[..., None], axis=-1)[..., 0]
    assert loss == pytest.approx(-of_targets[wanted != -100].mean(), rel=1e-9)


def test_token_by_token_with_caches_is_all_at_once():
    model = seq2seq()
    with no_grad():
        at_once, memory = model(SOURCE, TARGET, MASK).data, model.encode(SOURCE, MASK)
        cache = model.new_cache(memory, MASK)
        first = model.next_token_logits(TARGET[:, :3], None, cache=cache).data
        np.testing.assert_allclose(first, at_once[:, 2], rtol=0, atol=1e-10)
        for t in range(3, 6):
            scores = model.next_token_logits(TARGET[:, t : t + 1], None, cache=cache).data
            np.testing.assert_allclose(scores, at_once[:, t], rtol=0, atol=1e-10)
            np.testing.assert_allclose(
                model.next_token_logits(TARGET[:, : t + 1], memory, MASK).data, scores, rtol=0, atol=1e-10
            )
        cache.reset()
        again = model.next_token_logits(TARGET[:, :3], None, cache=cache).data
    np.testing.assert_array_equal(again, first)


def test_a_cache_copies_sources_only_where_they_change():
    rng = np.random.default_rng(0)
    attention = CrossAttention(8, 2, rng=rng)
    with no_grad():
        source = SourceCache(*attention.keys_and_values(attention.query.weight.unsqueeze(0).expand(2, 8, 8)), None)
    cache = DecoderCache([source], max_seq_len=4)
    cache.select(np.array([0, 0, 1, 1]))
    kept = cache.layers[0].source
    cache.select(np.array([1, 1, 3, 2]))
    assert cache.layers[0].source is kept
    cache.select(np.array([3, 0]))
    np.testing.assert_array_equal(cache.layers[0].source.keys.data, source.keys.data[[1, 0]])
    assert cache.layers[0].keys.shape == (2, 2, 4, 4)


def test_checkpointed_gradients_are_the_same_bit_for_bit():
    gradients = []
    for twice in (False, True):
        model = Seq2Seq(replace(SMALL, dropout=0.2), np.random.default_rng(0))
        model.checkpoint_activations = twice
        model.loss(SOURCE, MASK, TARGET, WANTED).backward()
        gradients.append([parameter.grad.data for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_initial_weights_first_loss_and_count_of_parameters():
    config = replace(SMALL, d_model=64, n_heads=4, d_ff=256, vocab_size=300, n_layers=3)
    assert_initial_weights(lambda rng: Seq2Seq(config, rng), 0.02, 0.02 / math.sqrt(6))
    model = Seq2Seq(config, np.random.default_rng(0)).eval()
    assert model.loss(SOURCE, MASK, TARGET, WANTED).item() == pytest.approx(math.log(300), abs=0.1)
    c = Seq2SeqConfig()
    C, F = c.d_model, c.d_ff
    feed_forward, attention, norm = 2 * C * F + F + C, 4 * C * C + 4 * C, 2 * C
    layers = 6 * (feed_forward + attention + 2 * norm) + 6 * (feed_forward + 2 * attention + 3 * norm)
    assert layers + 2 * norm == 44_140_544  # torch.nn.Transformer()
    small = replace(c, vocab_size=20, max_source_len=8, max_target_len=4, n_layers=1)
    assert Seq2Seq(small).num_parameters() == layers // 6 + 2 * norm + (20 + 12) * C


def test_a_translation_can_be_learned_by_heart():
    model = Seq2Seq(replace(SMALL, label_smoothing=0.0), np.random.default_rng(0))
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(SOURCE, MASK, TARGET, WANTED).backward()
        optimizer.step()
    assert model.eval().loss(SOURCE, MASK, TARGET, WANTED).item() < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "n_heads must divide d_model"),
        ({"max_source_len": 0}, "max_source_len must be an integer of at least 1, not 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\), not 1.0"),
        ({"dropout": -0.1}, "dropout"),
        ({"init_std": 0.0}, "init_std must be a number above 0"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps must be above 0"),
    ],
)
def test_impossible_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_inputs_that_do_not_fit():
    model = seq2seq()
    with pytest.raises(ValueError, match="10 tokens are more than max_seq_len = 9"):
        model.encode(np.zeros((1, 10), int))
    with pytest.raises(ValueError, match="9 tokens are more than max_seq_len = 8"):
        model(SOURCE[:1], np.zeros((1, 9), int))
    with pytest.raises(ValueError, match=r"source_mask must have the shape of source, \(3, 7\), got \(3, 6\)"):
        model(SOURCE, TARGET, MASK[:, 1:])
    with pytest.raises(RuntimeError, match="no gradients flow through a cache"):
        model.decode(TARGET, None, cache=model.new_cache(model.encode(SOURCE)))


def pairs_of(n: int) -> list[EncodedPair]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 30, n)
    return [EncodedPair([1] * int(length), [2, i % 7][: int(length)]) for i, length in enumerate(lengths)]


def test_a_batch_frames_and_pads():
    batch = collate_pairs([EncodedPair([5, 6, 9], [3]), EncodedPair([4, 9], [7, 8])], frame=9)
    assert batch.source.tolist() == [[5, 6, 9], [4, 9, 0]]
    assert batch.source_mask.tolist() == [[True] * 3, [True, True, False]]
    assert batch.target_in.tolist() == [[9, 3, 0], [9, 7, 8]]
    assert batch.target_out.tolist() == [[3, 9, -100], [7, 8, 9]]


def test_each_pair_once_per_pass_with_little_padding():
    pairs = pairs_of(500)
    batches = PairBatches(pairs, 16, 9)
    first = [next(batches) for _ in range(32)]  # 500 / 16, rounded up
    assert sum(len(batch.source) for batch in first) == 500
    assert sorted(batch.source_mask.sum() for batch in first) != [batch.source_mask.sum() for batch in first]
    lengths = sorted(int(n) for batch in first for n in batch.source_mask.sum(axis=1))
    assert lengths == sorted(len(pair.source) for pair in pairs)
    assert padding_share(first) < 0.1
    second = [next(batches) for _ in range(32)]
    assert [batch.source.shape for batch in first] != [batch.source.shape for batch in second]


def test_batches_go_on_where_they_were():
    batches = PairBatches(pairs_of(40), 16, 9, seed=1)
    for _ in range(4):
        next(batches)
    state, wanted = batches.state_dict(), [next(batches) for _ in range(5)]
    others = PairBatches(pairs_of(40), 16, 9, seed=1)
    others.load_state_dict(state)
    for one in wanted:
        for a, b in zip(one, next(others), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="seed=2, but the saved position was taken with seed=1"):
        PairBatches(pairs_of(40), 16, 9, seed=2).load_state_dict(state)
    with pytest.raises(ValueError, match="the saved position of the batches is damaged"):
        others.load_state_dict({**state, "pass": "x"})
    with pytest.raises(ValueError, match="batches need pairs"):
        PairBatches([], 16, 9)


@pytest.mark.parametrize("max_len", [2, 7, 20, 500])
def test_long_sources_of_summaries_are_cut(max_len):
    text = "def f(x): return x  # 吃 é, and so on " * 5
    for tokenizer in (CharTokenizer.train([text, "\n"]), BPETokenizer.train([text], 280, ["<|endoftext|>"])):
        pair = Pair(text, "f", "here")
        cut = cut_source(tokenizer, pair, max_len)
        assert text.startswith(cut.source)
        assert cut.source
        assert len(encode_source(tokenizer, cut.source)) <= max_len
        assert (cut.target, cut.origin) == ("f", "here")
        fits = len(encode_source(tokenizer, text)) <= max_len
        assert (cut is pair) == fits
        assert fits or len(encode_source(tokenizer, text[: 2 * len(cut.source) + 6])) > max_len  # no more than needed
