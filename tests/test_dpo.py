"""DPO: the loss and its gradients against PyTorch (golden/make_dpo_golden.py), what it reports, and that it learns."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.hub import load_pretrained
from tinygrad_llm.hub.names import FAMILIES, entries
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import add_lora, lora_layers, quantize, without_lora
from tinygrad_llm.nn.lora import lora_parameters
from tinygrad_llm.ops import linear_cross_entropy as linear_cross_entropy_module
from tinygrad_llm.text import EncodedChat
from tinygrad_llm.train.dpo import (
    EncodedPair,
    PreferenceScores,
    PreferenceTuning,
    Preferring,
    dpo_loss,
    pair_log_probs,
    rows_of,
    sequence_log_probs,
)
from tinygrad_llm.train.finetune import FineTuneConfig
from tinygrad_llm.train.preference_kl import kl_to_reference, sample_answers

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
with np.load(Path(__file__).parent / "golden" / "dpo.npz") as file:
    GOLDEN = dict(file)
BETA = float(GOLDEN["beta"])
BY_NAME = pytest.mark.parametrize("name", ["gpt2", "llama"])


def golden(name):
    return {key.removeprefix(f"{name}/"): value for key, value in GOLDEN.items() if key.startswith(f"{name}/")}


def golden_batch(case):
    """ids, targets and reference, as a batch has them; what stands after a row's last token is padding."""
    ids, mask = case["ids"], case["loss_mask"]
    chats = [EncodedChat(list(row[: m.nonzero()[0][-1] + 1]), list(m)[: m.nonzero()[0][-1] + 1])
             for row, m in zip(ids, mask, strict=True)]  # fmt: skip
    return (*rows_of(chats), case["reference"])


def float64_model(name):
    return load_pretrained(FOLDERS / name).model.to("float64")


@BY_NAME
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_pytorch(name, smoothing):
    case, model = golden(name), float64_model(name)
    preferring = Preferring(model, BETA, smoothing)
    loss = preferring.loss(*golden_batch(case))
    assert loss.item() == pytest.approx(float(case[f"loss/{smoothing}"]), rel=1e-7)
    margins = case["rewards"][:4] - case["rewards"][4:]
    assert preferring.margins == [pytest.approx(margins.mean(), rel=1e-6)]
    loss.backward()
    parameters, compared = dict(model.named_parameters()), 0
    for entry in entries(FAMILIES[name], model):
        keys = [f"grad/{smoothing}/{their}" for their in entry.theirs]
        if keys[0] in case:
            expected = entry.join([case[key] for key in keys])
            actual = parameters[entry.ours].grad.data
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * abs(expected).max(), err_msg=entry.ours)
            compared += 1
    assert compared == 3


@BY_NAME
def test_log_probs_do_not_depend_on_how_many_rows_of_scores_exist_at_a_time(name, monkeypatch):
    case, model = golden(name), float64_model(name)
    ids, targets, _ = golden_batch(case)
    whole = sequence_log_probs(model, ids, targets)
    np.testing.assert_allclose(whole.data, case["log_probs"], rtol=1e-7)
    whole.sum().backward()
    gradients = {key: p.grad.data.copy() for key, p in model.named_parameters()}
    model.zero_grad()
    monkeypatch.setattr(linear_cross_entropy_module, "MIN_CHUNK_ROWS", 3)
    monkeypatch.setattr(linear_cross_entropy_module, "CHUNK_BYTES", 1)
    chunked = sequence_log_probs(model, ids, targets)
    np.testing.assert_allclose(chunked.data, whole.data, rtol=1e-12)
    chunked.sum().backward()
    for key, p in model.named_parameters():
        np.testing.assert_allclose(p.grad.data, gradients[key], rtol=1e-9, atol=1e-12)


def test_loss_is_that_of_the_paper():
    policy, reference = np.array([-3.0, -5.0, -4.0, -2.0]), np.array([-3.5, -5.0, -4.0, -3.0])
    margins = 0.5 * np.array([(0.5) - (0.0), (0.0) - (1.0)])
    loss, found = dpo_loss(Tensor(policy), reference, beta=0.5)
    np.testing.assert_allclose(found, margins, rtol=1e-12)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-margins)).mean(), rel=1e-12)
    same, _ = dpo_loss(Tensor(policy), policy, beta=0.5, label_smoothing=0.2)
    assert same.item() == pytest.approx(np.log(2), rel=1e-12)


@pytest.mark.parametrize("settings", [{"beta": 0}, {"beta": -1}, {"label_smoothing": 0.5}, {"label_smoothing": -0.1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="beta must be above 0 and label_smoothing"):
        dpo_loss(Tensor(np.zeros(2)), np.zeros(2), **settings)


def test_scores():
    policy = np.array([[-1.0, -2.0], [-3.0, -1.0], [-2.0, -2.0]])
    reference = np.array([[-1.0, -2.0], [-4.0, -1.0], [-2.0, -1.0]])
    scores = PreferenceScores(policy, reference, beta=0.5)
    assert scores.prefers.tolist() == [1, 0, 0.5]
    assert scores.margins.tolist() == [0, 0.5, 0.5]
    assert (scores.accuracy, scores.reward_accuracy) == (0.5, pytest.approx(2.5 / 3))
    expected, _ = dpo_loss(Tensor(policy.T.reshape(-1)), reference.T.reshape(-1), 0.5)
    assert scores.loss == pytest.approx(expected.item(), rel=1e-12)


# Learning: the answer to prefer ends the way its prompt began

V, N = 8, 96


def toy_pairs(seed, n=N):
    rng, pairs = np.random.default_rng(seed), []
    for _ in range(n):
        first, middle = rng.integers(2, 5), rng.integers(2, V, 2)
        answers = [[int(first + 3), 1], [int(rng.choice([k for k in range(5, V) if k != first + 3])), 1]]
        chats = [EncodedChat([int(first), *map(int, middle), *answer], [0, 0, 0, 1, 1]) for answer in answers]
        pairs.append(EncodedPair(*chats))
    return pairs


def toy_model():
    return GPT(GPTConfig(V, 8, 2, 2, 16, dropout=0.1), np.random.default_rng(0))


CONFIG = FineTuneConfig(epochs=12, batch_size=16, learning_rate=5e-3, layer_decay=1.0, weight_decay=0.0, patience=20)


def tuning_of(model):
    pairs = {"train": toy_pairs(0), "validation": toy_pairs(1, 24), "test": toy_pairs(2, 48)}
    return PreferenceTuning(model, pairs, CONFIG, beta=0.5)


def test_held_out_preferences_are_learned_and_the_reference_stays():
    tuning = tuning_of(toy_model())
    before = tuning.scores("test")
    assert before.loss == pytest.approx(np.log(2), abs=1e-6)
    assert before.reward_accuracy == pytest.approx(0.5, abs=0.1)
    reports = list(tuning.train())
    after = tuning.scores("test")
    np.testing.assert_array_equal(after.reference, before.reference)
    assert after.accuracy > 0.95 > 0.7 > before.accuracy
    assert after.margins.mean() > 1
    assert len(tuning.model.margins) == reports[-1].step == tuning.n_steps
    assert tuning.model.margins[-1] > tuning.model.margins[0] + 1
    assert max(report.score for report in reports) == pytest.approx(-tuning.scores("validation").loss, abs=1e-6)


def test_with_adapters_only_they_are_trained_and_the_base_is_the_reference():
    model = toy_model()
    frozen = {name: array.copy() for name, array in model.state_dict().items()}
    add_lora(model, 4, 16, rng=np.random.default_rng(1))
    tuning = tuning_of(model)
    list(tuning.train())
    after = tuning.scores("test")
    assert after.accuracy > 0.9
    for name, array in model.state_dict().items():
        if not name.endswith(("lora_a", "lora_b")):
            np.testing.assert_array_equal(array, frozen[name.replace(".base.", ".")], err_msg=name)
    with without_lora(model):
        np.testing.assert_allclose(pair_log_probs(model, tuning.pairs["test"]), after.reference, rtol=1e-5)
    assert all(parameter.requires_grad for parameter in lora_parameters(model))
    assert kl_to_reference(model, [pair.chosen for pair in tuning.pairs["test"]]) > 0.001


def test_beside_bytes_too():
    model = quantize(toy_model())
    add_lora(model, 4, 16, rng=np.random.default_rng(1))
    tuning = tuning_of(model)
    before = tuning.scores("test")
    list(tuning.train())
    assert tuning.scores("test").accuracy > 0.9 > before.accuracy


def test_the_same_seed_trains_the_same():
    margins = []
    for _ in range(2):
        tuning = tuning_of(toy_model())
        next(tuning.train())
        margins.append(tuning.model.margins)
    assert margins[0] == margins[1]


def test_dropout_is_off():
    preferring = Preferring(toy_model(), 0.1).train()
    assert not any(module.training for module in preferring.modules())


def test_empty_parts_are_refused():
    with pytest.raises(ValueError, match="needs pairs for validation"):
        PreferenceTuning(toy_model(), {"train": toy_pairs(0, 4), "validation": []}, CONFIG)


def test_kl_is_that_of_the_distributions():
    model, other = toy_model().eval(), GPT(GPTConfig(V, 8, 2, 2, 16, dropout=0.0), np.random.default_rng(5)).eval()
    chats = [pair.chosen for pair in toy_pairs(0, 5)]
    expected = []
    for chat in chats:
        p, q = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in (m([chat.ids]).data[0] for m in (model, other)))
        expected += [(p[t - 1] * np.log(p[t - 1] / q[t - 1])).sum() for t in range(len(chat.ids)) if chat.loss_mask[t]]
    assert kl_to_reference(model, chats, other) == pytest.approx(np.mean(expected), rel=1e-4)
    assert kl_to_reference(model, chats, model) == pytest.approx(0, abs=1e-7)


def test_sampled_answers_end_where_the_model_ends_them():
    model = toy_model()
    prompts = [[2, 3, 4], [5], [6, 7]]
    answers = sample_answers(model, prompts, 4, end=[1], rng=np.random.default_rng(0))
    assert len(answers) == 3
    for prompt, chat in zip(prompts, answers, strict=True):
        assert chat.ids[: len(prompt)] == prompt
        answer = chat.ids[len(prompt) :]
        assert chat.loss_mask == [0] * len(prompt) + [1] * len(answer)
        assert 1 <= len(answer) <= 4
        assert 1 not in answer[:-1]
        assert answer[-1] == 1 or len(answer) == 4
    assert lora_layers(model) == {}
