"""Settings of a run: presets, types, ranges, and what is built from them."""

import dataclasses

import numpy as np
import pytest

from tinygrad_llm.optim import cosine
from tinygrad_llm.train import PRESETS, PretrainConfig, build_model, build_optimizer, build_schedule, preset


def test_shakespeare_cpu_is_nanogpts_setting():
    config = preset("shakespeare-cpu")
    model = build_model(config, 65)
    assert (config.batch_size, config.max_seq_len, config.steps) == (12, 64, 2000)
    assert (model.config.n_layers, model.config.n_heads, model.config.d_model) == (4, 4, 128)
    assert (model.config.dropout, model.config.bias, config.tokenizer) == (0.0, False, "char")
    # nanoGPT prints 0.80M: it leaves out the 64 · 128 numbers of the position embedding
    assert model.num_parameters() - 64 * 128 == 795_904
    optimizer = build_optimizer(config, model)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.9, 0.99), 0.1)
    schedule = build_schedule(config)
    assert schedule(0) == pytest.approx(1 / 101)
    assert schedule(100) == 1.0
    assert 1e-3 * schedule(2000) == pytest.approx(1e-4)
    assert schedule(700) == cosine(700, 2000, 100, 0.1)
    assert config.clip == 1.0


@pytest.mark.parametrize("bias", [True, False])
def test_weight_decay_is_for_matrices_only(bias):
    model = build_model(preset("debug").override(bias=bias), 50)
    groups = build_optimizer(preset("debug"), model).param_groups
    assert [{p.ndim for p in group["params"]} for group in groups] == [{2}, {1}]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_seed_decides_the_weights():
    first, again, other = (build_model(preset("debug").override(seed=seed), 50) for seed in (1, 1, 2))
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert a.ndim < 2 or not np.array_equal(a.data, c.data)


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd"])
@pytest.mark.parametrize(("steps", "warmup_ratio"), [(50, 0.2), (1, 0.0), (1, 1.0), (7, 1.0)])
def test_schedules_rise_and_fall_between_the_two_rates(name, steps, warmup_ratio):
    config = PretrainConfig(
        schedule=name, steps=steps, warmup_ratio=warmup_ratio, learning_rate=1.0, min_learning_rate=0.25
    )
    schedule = build_schedule(config)
    factors = [schedule(step) for step in range(steps + 1)]
    assert all(0 < factor <= 1 for factor in factors)
    if steps == 50:
        assert factors[10] == 1
        assert factors[50] == pytest.approx(0.25)


def test_every_preset_has_a_description_and_every_field_a_help_text():
    for config, description in PRESETS.values():
        assert isinstance(config, PretrainConfig)
        assert description
    assert all(field.metadata["help"] for field in dataclasses.fields(PretrainConfig))


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"no preset 'latop' \(did you mean 'laptop'\?\); the presets are laptop, "):
        preset("latop")
    with pytest.raises(TypeError, match=r"no setting 'learning_rat' \(did you mean 'learning_rate'\?\)"):
        preset("laptop").override(learning_rat=1)
    with pytest.raises(ValueError, match=r"tokenizer must be one of bpe, char, not 'bp' \(did you mean 'bpe'\?\)"):
        PretrainConfig(tokenizer="bp")


def test_an_integer_will_do_for_a_number_but_nothing_else():
    assert PretrainConfig(clip=1).clip == 1.0
    for name, value in {"steps": 2.0, "steps ": True, "dropout": "0.1", "bias": 1, "encoding": 8}.items():
        with pytest.raises(TypeError, match=f"{name.strip()} must be .*, not {value!r}"):
            PretrainConfig(**{name.strip(): value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_heads", 5),
        ("steps", 0),
        ("batch_size", -1),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("min_learning_rate", 1.0),
        ("validation_fraction", 1.0),
        ("warmup_ratio", 1.5),
        ("evaluation_tokens", 1),
        ("beta1", 1.0),
        ("clip", -1.0),
        ("seed", -1),
        ("schedule", "step"),
        ("embedded_corpus", "novels"),
    ],
)
def test_values_out_of_range_name_the_field_and_the_value(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, not {value!r}"):
        PretrainConfig(**{name: value})
