"""Several tasks on one base: they share it, each has its head, and they come as often as they should."""

import itertools
from collections import Counter

import numpy as np
import pytest

from tinygrad_llm.models import BERT, BERTConfig, TextClassifier, TextRegressor
from tinygrad_llm.train.finetune import FineTuneConfig, fine_tune
from tinygrad_llm.train.multi_task import MultiTask, sampling_probabilities, task_batches, task_loss
from tinygrad_llm.train.text_batches import EncodedText, collate, training_batches


def base(seed=0):
    return BERT(BERTConfig(30, 20, 2, 2, 2, 16, 24, 0.0), np.random.default_rng(seed))


def two_tasks(shared):
    rng = np.random.default_rng(1)
    heads = {"parity": TextClassifier(shared, 2, 0.0, rng=rng), "length": TextRegressor(shared, 6.0, 2.0, 0.0, rng)}
    return MultiTask(shared, heads)


def rows(n, seed):
    rng = np.random.default_rng(seed)
    found = [rng.integers(5, 30, rng.integers(3, 10)).tolist() for _ in range(n)]
    return [EncodedText(ids, [0] * len(ids)) for ids in found]


def test_the_base_is_one():
    shared = base()
    model = two_tasks(shared)
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(names)) == len(list(shared.parameters())) + 4
    assert {name for name in names if not name.startswith("base.")} == {
        "heads.parity.head.weight",
        "heads.parity.head.bias",
        "heads.length.head.weight",
        "heads.length.head.bias",
    }


def test_a_batch_teaches_its_own_head_and_the_base():
    model = two_tasks(base())
    batch = (*collate(rows(4, 0), [0, 1, 1, 0]), "parity")
    task_loss(model, batch).backward()
    assert model.heads["parity"].head.weight.grad is not None
    assert model.heads["length"].head.weight.grad is None
    assert model.base.token_embedding.weight.grad is not None


def test_both_tasks_are_learned():
    model, texts = two_tasks(base()), rows(60, 2)
    parity = [int(7 in row.ids or 8 in row.ids) for row in texts]
    lengths = [float(row.length) for row in texts]
    rng = np.random.default_rng(0)
    sources = {
        "parity": training_batches(texts, parity, 16, rng),
        "length": training_batches(texts, lengths, 16, rng),
    }
    batches = task_batches(sources, {"parity": 60, "length": 60}, 1.0, rng)
    everything = [collate(texts, targets) for targets in (parity, lengths)]

    def evaluate():
        losses = [model.heads[name].loss(*batch).item() for name, batch in zip(sources, everything, strict=True)]
        return -sum(losses)

    first = evaluate()
    config = FineTuneConfig(epochs=40, learning_rate=5e-3, patience=100, evaluations_per_epoch=1, layer_decay=1.0)
    list(fine_tune(model, batches, evaluate, config, 120, task_loss))
    assert evaluate() > 0.3 * first  # both are negative
    correct = model.heads["parity"](*everything[0][:3]).argmax(1).numpy() == parity
    assert correct.mean() > 0.9


@pytest.mark.parametrize("temperature", [1.0, 2.0, 100.0])
def test_tasks_come_as_often_as_they_should(temperature):
    sizes = {"a": 810, "b": 90}
    sources = {name: itertools.repeat((np.zeros(1),)) for name in sizes}
    drawn = Counter(
        batch[-1]
        for batch in itertools.islice(task_batches(sources, sizes, temperature, np.random.default_rng(0)), 4000)
    )
    expected = {1.0: 0.9, 2.0: 0.75, 100.0: 0.505}[temperature]
    assert sampling_probabilities(sizes, temperature)["a"] == pytest.approx(expected, abs=0.001)
    assert drawn["a"] / 4000 == pytest.approx(expected, abs=0.03)


def test_what_is_refused():
    with pytest.raises(ValueError, match="the head 'x' stands on another model"):
        MultiTask(base(), {"x": TextClassifier(base(1), 2)})
    with pytest.raises(ValueError, match="at least one head"):
        MultiTask(base(), {})
    with pytest.raises(ValueError, match="every task needs examples, and b has none"):
        sampling_probabilities({"a": 3, "b": 0}, 1.0)
    with pytest.raises(ValueError, match="temperature must be at least 1"):
        sampling_probabilities({"a": 3}, 0.5)
