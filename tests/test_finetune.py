"""Fine-tuning: what is frozen stays, rates fall with depth, the best weights are kept; and batches of texts."""

import itertools

import numpy as np
import pytest

from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig, TextClassifier
from tinygrad_llm.text import BPETokenizer, CharTokenizer, WordPieceTokenizer
from tinygrad_llm.train.finetune import FineTuneConfig, depth, fine_tune, freeze, layerwise_optimizer
from tinygrad_llm.train.text_batches import (
    EncodedText,
    cut_to,
    encode_text,
    ordered_batches,
    padding_share,
    training_batches,
)

BASES = {
    "bert": lambda rng: BERT(BERTConfig(30, 40, 2, 3, 2, 16, 24, 0.0, pooler=True), rng),
    "gpt": lambda rng: GPT(GPTConfig(30, 40, 3, 2, 16, dropout=0.0), rng),
    "llama": lambda rng: Llama(LlamaConfig(30, 40, 3, 4, 2, 16, 24), rng),
}
BY_BASE = pytest.mark.parametrize("base", BASES)


def classifier(base="bert", seed=0):
    rng = np.random.default_rng(seed)
    return TextClassifier(BASES[base](rng), 2, dropout=0.0, rng=rng)


def examples(n=64, seed=1):
    """Rows of random tokens; the class says whether a 7 is among them."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(n):
        ids = rng.integers(8, 30, rng.integers(3, 12))
        label = int(rng.integers(2))
        if label:
            ids[rng.integers(len(ids))] = 7
        rows.append(EncodedText(ids.tolist(), [0] * len(ids)))
        labels.append(label)
    return rows, labels


def run(model, config, scores=None, n=64):
    """All reports; the score is minus the loss on the examples, or the next of `scores`."""
    rows, labels = examples(n)
    numbers, batch = next(iter(ordered_batches(rows, n)))
    scores = iter(scores) if scores is not None else None

    def evaluate():
        if scores is not None:
            return next(scores)
        return -model.loss(*batch[:3], np.array(labels)[numbers]).item()

    batches = training_batches(rows, labels, config.batch_size, np.random.default_rng(config.seed))
    return list(fine_tune(model, batches, evaluate, config, n)), evaluate


def weights(model):
    return {name: p.data.copy() for name, p in model.named_parameters()}


@BY_BASE
def test_a_task_is_learned(base):
    model = classifier(base)
    config = FineTuneConfig(epochs=25, learning_rate=5e-3, patience=50, evaluations_per_epoch=1)
    reports, evaluate = run(model, config)
    assert [report.step for report in reports] == list(range(4, 101, 4))
    assert reports[-1].loss < 0.4 * reports[0].loss
    assert evaluate() == pytest.approx(max(report.score for report in reports), rel=1e-5)
    assert not model.training


@BY_BASE
def test_depths(base):
    model = BASES[base](np.random.default_rng(0))
    depths = {name: depth(model, name) for name, _ in model.named_parameters()}
    assert depths["token_embedding.weight"] == 0
    assert {d for name, d in depths.items() if name.startswith("blocks.1.")} == {2}
    assert depths["norm.weight"] == (0 if base == "bert" else 4)
    assert set(depths.values()) == {0, 1, 2, 3, 4}


@BY_BASE
@pytest.mark.parametrize("n_blocks", [-1, 0, 1, 3])
def test_what_is_frozen_stays(base, n_blocks):
    model = classifier(base)
    before = weights(model)
    run(model, FineTuneConfig(epochs=1, frozen_blocks=n_blocks))
    for name, array in weights(model).items():
        if not name.startswith("base.masked_lm_head"):  # has no part in this task
            inner = name.removeprefix("base.")
            free = inner == name or n_blocks == 0 or (n_blocks > 0 and depth(model.base, inner) > n_blocks)
            assert np.array_equal(array, before[name]) != free, name


def test_rates_fall_with_depth():
    model = classifier("gpt")
    optimizer = layerwise_optimizer(model, FineTuneConfig(learning_rate=1.0, layer_decay=0.5))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert found["head.weight"] == found["base.norm.weight"] == 1.0
    assert [found[f"base.blocks.{i}.norm1.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert found["base.token_embedding.weight"] == 0.0625
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {decays[id(p)] for p in model.parameters() if p.ndim == 1} == {0.0}
    assert {decays[id(p)] for p in model.parameters() if p.ndim == 2} == {0.01}


def test_the_best_weights_are_kept_and_training_stops_early():
    model, seen = classifier(), []
    rows, labels = examples()
    scores = iter([0.1, 0.5, 0.3, 0.4, 0.2])

    def evaluate():
        seen.append(weights(model))
        return next(scores)

    batches = training_batches(rows, labels, 16, np.random.default_rng(0))
    config = FineTuneConfig(epochs=10, patience=3, evaluations_per_epoch=1)
    reports = list(fine_tune(model, batches, evaluate, config, 64))
    assert [report.is_best for report in reports] == [True, True, False, False, False]
    assert all(np.array_equal(array, seen[1][name]) for name, array in weights(model).items())
    assert not np.array_equal(seen[1]["head.weight"], seen[4]["head.weight"])


def test_the_same_seed_gives_the_same_weights():
    first, second = (classifier() for _ in range(2))
    for model in (first, second):
        run(model, FineTuneConfig(epochs=2))
    assert all(np.array_equal(array, weights(second)[name]) for name, array in weights(first).items())


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"patience": 0}, {"layer_decay": 1.5}, {"frozen_blocks": -2}])
def test_impossible_settings(changes):
    with pytest.raises(ValueError, match=f"FineTuneConfig: .*{next(iter(changes))}"):
        FineTuneConfig(**changes)


def test_more_frozen_blocks_than_there_are():
    with pytest.raises(ValueError, match="at most the 3 blocks that the model has, not 4"):
        freeze(classifier(), 4)


TEXT = "it rains and the road is wet, so the dog stays in and reads a book about rain and dogs " * 5


def test_texts_are_framed_as_the_model_knows_them():
    wordpiece = WordPieceTokenizer.train(TEXT, 80)
    both = wordpiece.encode_with_offsets("it rains", "the road is wet")
    assert encode_text(wordpiece, "it rains", "the road is wet", 50) == EncodedText(both.ids, both.token_type_ids)
    assert encode_text(wordpiece, "it rains", None, 50).ids == wordpiece.encode("it rains")
    bpe = BPETokenizer.train(TEXT, 280, special_tokens=["<|endoftext|>"])
    a, b, end = bpe.encode("it rains"), bpe.encode("wet"), bpe.eos_id
    assert encode_text(bpe, "it rains", "wet", 50) == EncodedText(
        [*a, end, *b, end], [0] * (len(a) + 1) + [1] * (len(b) + 1)
    )
    char = CharTokenizer.train(TEXT)
    assert encode_text(char, "dog", None, 50).ids == char.encode("dog")
    assert encode_text(char, "", None, 50).length == 1


def test_long_texts_are_cut_and_keep_their_frame():
    wordpiece = WordPieceTokenizer.train(TEXT, 80)
    row = encode_text(wordpiece, TEXT, "so", 12)
    assert row.length == 12
    assert row.ids[0] == wordpiece.cls_id
    assert row.ids[-1] == wordpiece.sep_id
    assert row.ids.count(wordpiece.sep_id) == 2
    assert row.ids[-2:-1] == wordpiece.encode("so", add_special_tokens=False)[-1:]
    assert cut_to([[1, 2, 3, 4], [5, 6, 7]], 4) == [[1, 2], [5, 6]]
    assert cut_to([[1], [5, 6, 7]], 10) == [[1], [5, 6, 7]]
    with pytest.raises(ValueError, match="has no room for 2 texts"):
        encode_text(wordpiece, "a", "b", 4)


def test_batches_hold_each_example_once_a_pass_with_little_padding():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 100, 1000)
    rows = [EncodedText([i + 1] * int(length), [0] * int(length)) for i, length in enumerate(lengths)]
    n_batches = 32 + 31
    batches = list(itertools.islice(training_batches(rows, range(1000), 16, np.random.default_rng(0)), n_batches))
    seen = np.concatenate([batch.targets for batch in batches])
    assert sorted(seen.tolist()) == list(range(1000))
    assert padding_share(batches) < 0.1
    for batch in batches:
        assert (batch.ids[:, 0] == batch.targets + 1).all()
        np.testing.assert_array_equal(batch.ids > 0, batch.attention_mask)
    order = [batch.ids.shape[1] for batch in batches]
    assert order != sorted(order)
    with pytest.raises(ValueError, match="no examples"):
        next(training_batches([], [], 4, rng))


def test_evaluation_goes_over_all_rows_once():
    rows, _ = examples(37)
    found = list(ordered_batches(rows, 8))
    assert sorted(np.concatenate([numbers for numbers, _ in found]).tolist()) == list(range(37))
    for numbers, batch in found:
        for number, ids, mask in zip(numbers, batch.ids, batch.attention_mask, strict=True):
            assert ids[mask].tolist() == rows[number].ids
