"""Settings of a run: presets, types, ranges, and what is built from them."""

import dataclasses
import itertools

import numpy as np
import pytest

from tinygrad_llm.data import RandomBatches
from tinygrad_llm.models import BERT, BERTConfig, Llama, LlamaConfig
from tinygrad_llm.optim import cosine
from tinygrad_llm.train import (
    PRESETS,
    PretrainConfig,
    build_model,
    build_optimizer,
    build_schedule,
    language_modelling,
    load_checkpoint,
    preset,
    save_checkpoint,
    train_steps,
)
from tinygrad_llm.train.build import gated_width, model_config
from tinygrad_llm.train.recipes import CHOICES, OF_SOME_MODELS, TOKENIZERS_OF


def test_nanogpt_cpu_is_nanogpts_setting():
    config = preset("nanogpt-cpu")
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
    with pytest.raises(
        ValueError, match=r"tokenizer must be one of bpe, char, wordpiece, not 'bp' \(did you mean 'bpe'\?\)"
    ):
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
        ("muon_learning_rate", 0.0),
        ("muon_momentum", 1.0),
        ("init_std", -0.02),
        ("optimizer", "sgd"),
        ("min_learning_rate", 1.0),
        ("validation_fraction", 1.0),
        ("warmup_ratio", 1.5),
        ("evaluation_tokens", 1),
        ("beta1", 1.0),
        ("clip", -1.0),
        ("seed", -1),
        ("schedule", "step"),
        ("embedded_corpus", "novels"),
        ("model", "gtp"),
    ],
)
def test_values_out_of_range_name_the_field_and_the_value(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, not {value!r}"):
        PretrainConfig(**{name: value})


LLAMA = PretrainConfig(model="llama", n_heads=4, d_model=64)


def test_settings_of_another_model_are_refused():
    for changes in ({"dropout": 0.1}, {"bias": True}):
        with pytest.raises(
            ValueError, match=r"is a setting of gpt(, bert and .*)?, not of llama: leave it out, or choose --model gpt"
        ) as error:
            LLAMA.override(**changes)
        assert str(error.value).startswith(next(iter(changes)))
    with pytest.raises(ValueError, match=r"n_kv_heads is a setting of llama, not of gpt: .* choose --model llama"):
        PretrainConfig(n_kv_heads=2)
    assert {each for models in OF_SOME_MODELS.values() for each in models} <= set(CHOICES["model"])
    assert set(TOKENIZERS_OF) == set(CHOICES["model"])


def test_heads_that_no_llama_can_have():
    for n_kv_heads in (3, 8):
        with pytest.raises(ValueError, match=rf"n_kv_heads must be 0 or a divisor of n_heads = 4, not {n_kv_heads}"):
            LLAMA.override(n_kv_heads=n_kv_heads)
    with pytest.raises(ValueError, match="n_kv_heads must be a number of at least 0, not -2"):
        LLAMA.override(n_kv_heads=-2)
    with pytest.raises(ValueError, match=r"n_heads must be such that d_model / n_heads is even, .*, not 64"):
        LLAMA.override(n_heads=64)
    assert PretrainConfig(n_heads=64, d_model=64).n_heads == 64, "a gpt can"


def test_a_llama_is_built_by_its_settings():
    config = LLAMA.override(n_kv_heads=2, n_layers=3, max_seq_len=40, init_std=0.05, seed=7)
    expected = LlamaConfig(100, 40, 3, n_heads=4, n_kv_heads=2, d_model=64, d_ff=192, init_std=0.05)
    model = build_model(config, 100)
    assert type(model) is Llama
    assert model.config == model_config(config, 100) == expected
    for p, q in zip(model.parameters(), Llama(expected, np.random.default_rng(7)).parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert build_model(config.override(n_kv_heads=0), 100).config.n_kv_heads == 4
    assert not model.checkpoint_activations
    assert build_model(config.override(checkpoint_activations=True), 100).checkpoint_activations


def test_a_llama_is_as_large_as_a_gpt_without_its_table_of_positions():
    llama, gpt = (build_model(LLAMA.override(model=model, d_model=96), 100) for model in ("llama", "gpt"))
    assert llama.num_parameters() == gpt.num_parameters() - gpt.position_embedding.weight.data.size
    for d_model in (16, 192, 200, 768):
        assert gated_width(d_model) % 32 == 0
        assert 0 <= gated_width(d_model) - 8 / 3 * d_model < 32


def test_a_bert_changes_a_preset_and_what_is_given_changes_that():
    bert = preset("laptop").override(model="bert", d_model=96, mask_share=0.3)
    assert (bert.tokenizer, bert.optimizer, bert.learning_rate) == ("wordpiece", "muon", 1e-3)
    assert bert.override(steps=7, optimizer="adamw").override(model="bert").optimizer == "adamw"
    assert preset("debug").override(model="bert", optimizer="adamw", learning_rate=2e-3).learning_rate == 2e-3
    expected = BERTConfig(100, 128, 2, 4, 4, 96, d_ff=384, dropout=0.0, init_std=0.05)
    model = build_model(bert, 100)
    assert type(model) is BERT
    assert model.config == model_config(bert, 100) == expected
    for p, q in zip(model.parameters(), BERT(expected, np.random.default_rng(0)).parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert build_model(bert.override(checkpoint_activations=True), 100).checkpoint_activations
    with pytest.raises(ValueError, match="mask_share is a setting of bert, not of gpt: leave it out, or choose"):
        bert.override(model="gpt", tokenizer="bpe")


def test_shakespeare_cpu_is_the_same_model_with_another_recipe():
    nanogpt, ours = preset("nanogpt-cpu"), preset("shakespeare-cpu")
    assert dataclasses.replace(model_config(ours, 65), init_std=0.02) == model_config(nanogpt, 65)
    assert (ours.batch_size, ours.max_seq_len, ours.tokenizer) == (12, 64, "char")
    assert ours.steps < nanogpt.steps / 3


def test_initial_weights_have_the_spread_asked_for():
    model = build_model(preset("shakespeare-cpu").override(init_std=0.05), 65)
    first = model.blocks[0]
    for weight, std in (
        (model.token_embedding.weight, 0.05),
        (first.attention.qkv.weight, 0.05),
        (first.feed_forward.down.weight, 0.05 / np.sqrt(8)),
    ):
        assert weight.data.std() == pytest.approx(std, rel=0.05)


def test_muon_takes_the_matrices_in_the_blocks_and_adamw_the_rest():
    config = preset("debug").override(optimizer="muon", bias=True, muon_learning_rate=0.5, weight_decay=0.25)
    model = build_model(config, 50)
    adamw, muon = build_optimizer(config, model).optimizers
    names = {id(p): name for name, p in model.named_parameters()}
    packed, single = ([names[id(p)] for p in group["params"]] for group in muon.param_groups)
    assert packed == ["blocks.0.attention.qkv.weight", "blocks.1.attention.qkv.weight"]
    parts = ("attention.out", "feed_forward.up", "feed_forward.down")
    assert single == [f"blocks.{block}.{part}.weight" for block in (0, 1) for part in parts]
    assert [group["stacked"] for group in muon.param_groups] == [3, 1]
    assert {(group["lr"], group["weight_decay"]) for group in muon.param_groups} == {(0.5, 0.25)}
    embeddings, vectors = ([names[id(p)] for p in group["params"]] for group in adamw.param_groups)
    assert embeddings == ["token_embedding.weight", "position_embedding.weight"]
    assert {len(model.state_dict()[name].shape) for name in vectors} == {1}
    assert len(packed + single + embeddings + vectors) == len(list(model.parameters()))


def test_muon_takes_each_of_a_llamas_matrices_by_itself():
    """Queries, keys and values have different sizes, and no matrix holds several of them."""
    config = LLAMA.override(optimizer="muon", n_kv_heads=1, n_layers=2)
    model = build_model(config, 50)
    adamw, muon = build_optimizer(config, model).optimizers
    names = {id(p): name for name, p in model.named_parameters()}
    (group,) = muon.param_groups
    parts = [f"attention.{part}" for part in ("query", "key", "value", "out")]
    parts += [f"feed_forward.{part}" for part in ("gate", "up", "down")]
    expected = {f"blocks.{block}.{part}.weight" for block in (0, 1) for part in parts}
    assert {names[id(p)] for p in group["params"]} == expected
    assert group["stacked"] == 1
    assert {p.shape for p in group["params"]} == {(64, 64), (16, 64), (192, 64), (64, 192)}
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert rest == {name for name, _ in model.named_parameters()} - expected


@pytest.mark.parametrize("model", CHOICES["model"])
def test_muon_learns_the_text_by_heart_as_adamw_does(model):
    changes = {"optimizer": "muon", "learning_rate": 0.02, "label_smoothing": 0.0, "steps": 60, "schedule": "linear"}
    config = preset("debug").override(model=model, **changes)
    source = (np.zeros((2, 3), np.int64), None) if model == "seq2seq" else ()
    model, x = build_model(config, 11), np.random.default_rng(0).integers(0, 11, (2, 9))
    steps = train_steps(
        model,
        itertools.repeat((*source, x[:, :-1], x[:, 1:])),
        language_modelling,
        build_optimizer(config, model),
        build_schedule(config),
        n_steps=60,
        clip=config.clip,
    )
    losses = [info.loss for info in steps]
    assert losses[0] == pytest.approx(np.log(11), abs=0.2)
    assert losses[-1] < 0.1


@pytest.mark.parametrize("changes", [{"dropout": 0.1}, {"model": "llama", "n_kv_heads": 1}])
def test_a_resumed_muon_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, changes):
    config = preset("debug").override(optimizer="muon", steps=6, **changes)
    tokens = np.random.default_rng(0).integers(0, 11, 500)

    def begin():
        model = build_model(config, 11)
        return model, build_optimizer(config, model), RandomBatches(tokens, 2, config.max_seq_len, seed=0)

    def go_on(model, optimizer, batches, start, end):
        steps = train_steps(
            model, batches, language_modelling, optimizer, build_schedule(config), n_steps=end, start_step=start
        )
        return [info.loss for info in steps]

    whole = begin()
    losses = go_on(*whole, 0, 6)
    first = begin()
    go_on(*first, 0, 3)
    save_checkpoint(tmp_path / "last.safetensors", first[0], 3, *first[1:])
    second = begin()
    load_checkpoint(tmp_path / "last.safetensors").restore(*second)
    assert go_on(*second, 3, 6) == losses[3:]
    for name, array in whole[1].state_dict()["arrays"].items():
        np.testing.assert_array_equal(second[1].state_dict()["arrays"][name], array, err_msg=name)
    for (name, p), q in zip(whole[0].named_parameters(), second[0].parameters(), strict=True):
        np.testing.assert_array_equal(q.data, p.data, err_msg=name)
    adamw = build_optimizer(config.override(optimizer="adamw"), second[0])
    with pytest.raises(ValueError, match="the state is of groups of"):
        adamw.load_state_dict(second[1].state_dict())
    with pytest.raises(ValueError, match="the state is of no combined optimizers, this has 2"):
        second[1].load_state_dict(adamw.state_dict())
