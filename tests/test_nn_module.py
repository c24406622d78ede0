"""Module: the walk, names, state, modes, printing; initial weights; errors."""

import numpy as np
import pytest

from tinygrad_llm import nn
from tinygrad_llm.autograd import Tensor


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Tiny(nn.Module):
    def __init__(self):
        self.first = nn.Linear(2, 3, rng=rng())
        self.tail = nn.Sequential(nn.ReLU(), nn.Dropout(0.5, rng()), nn.Linear(3, 2, bias=False, rng=rng(1)))
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.note = "not a parameter"
        self.constant = Tensor([1.0])

    def forward(self, x):
        return self.tail(self.first(x)) * self.scale


NAMES = ["first.weight", "first.bias", "tail.2.weight", "scale"]


def test_names_follow_the_attributes():
    model = Tiny()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert list(model.state_dict()) == NAMES
    assert [name for name, _ in model.named_modules()] == ["", "first", "tail", "tail.0", "tail.1", "tail.2"]
    assert [name for name, _ in model.named_children()] == ["first", "tail"]
    assert model.num_parameters() == 2 * 3 + 3 + 3 * 2 + 2
    assert isinstance(model.scale, Tensor)
    assert model.scale.requires_grad


def test_a_shared_parameter_counts_once_and_stays_shared():
    model = nn.Sequential(nn.Linear(2, 2, rng=rng()), nn.Linear(2, 2, rng=rng()))
    model[1].weight = model[0].weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert model.num_parameters() == 8
    model(Tensor([[1.0, 2.0]])).sum().backward()
    twice = model[0].weight.grad.data.copy()
    model[1].weight = nn.Parameter(model[0].weight)
    model.zero_grad()
    model(Tensor([[1.0, 2.0]])).sum().backward()
    np.testing.assert_allclose(twice, model[0].weight.grad.data + model[1].weight.grad.data, rtol=1e-6)


def test_parameters_change_when_they_are_assigned_anew():
    model = Tiny()
    model.scale = None
    model.first = nn.ReLU()
    assert [name for name, _ in model.named_parameters()] == ["tail.2.weight"]


def test_modules_in_a_plain_list_are_refused():
    model = Tiny()
    model.layers = [nn.ReLU()]
    with pytest.raises(TypeError, match=r"Tiny\.layers holds modules or parameters in a list.*ModuleList"):
        list(model.parameters())


def test_a_typo_is_an_attribute_error():
    with pytest.raises(AttributeError, match="frist"):
        Tiny().frist  # noqa: B018


def test_modes_reach_every_module():
    model = Tiny()
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    x = Tensor(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(model(x).data, model(x).data)
    assert model.train().tail[1].training


def test_apply_goes_to_children_first():
    seen = []
    Tiny().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Dropout", "Linear", "Sequential", "Tiny"]


def test_freezing_and_zero_grad():
    model = Tiny().eval()
    model.first.requires_grad_(False)
    model(Tensor([[1.0, 2.0]])).sum().backward()
    assert model.first.weight.grad is None
    assert model.scale.grad is not None
    model.zero_grad()
    assert model.scale.grad is None


def test_to_converts_all_parameters():
    model = Tiny().to("float64")
    assert {p.dtype for p in model.parameters()} == {np.dtype("float64")}
    with pytest.raises(TypeError, match="float32 or float64, not float16"):
        model.to("float16")


def test_state_is_loaded_in_place():
    source, target = Tiny(), Tiny()
    source.scale.data[:] = 7
    weight, versions = target.scale, target.scale._version.count
    target.load_state_dict(source.state_dict())
    assert target.scale is weight
    assert weight.tolist() == [7.0, 7.0]
    assert weight._version.count > versions
    source.scale.data[:] = 8
    assert weight.tolist() == [7.0, 7.0]


def test_loading_lists_every_problem_and_changes_nothing():
    model = Tiny()
    state = {name: array + 1 for name, array in model.state_dict().items()}
    del state["first.bias"]
    state |= {"scale": np.ones(3), "extra": np.ones(1)}
    before = model.first.weight.data.copy()
    with pytest.raises(ValueError, match="does not fit Tiny") as error:
        model.load_state_dict(state)
    for part in ("wrong shape: scale (3,) instead of (2,)", "missing: first.bias", "unexpected: extra"):
        assert part in str(error.value)
    np.testing.assert_array_equal(model.first.weight.data, before)
    with pytest.raises(ValueError, match="wrong shape"):
        model.load_state_dict(state, strict=False)
    del state["scale"]
    assert model.load_state_dict(state, strict=False) == (["first.bias", "scale"], ["extra"])
    np.testing.assert_array_equal(model.first.weight.data, before + 1)


def test_repr_is_a_tree():
    model = nn.ModuleList([Tiny(), nn.ReLU(), nn.ReLU()])
    assert repr(model) == (
        "ModuleList(\n"
        "  (0): Tiny(\n"
        "    (first): Linear(2, 3)\n"
        "    (tail): Sequential(\n"
        "      (0): ReLU()\n"
        "      (1): Dropout(p=0.5)\n"
        "      (2): Linear(3, 2, bias=False)\n"
        "    )\n"
        "  )\n"
        "  (1-2): 2 x ReLU()\n"
        ")"
    )


def test_module_list():
    layers = nn.ModuleList(nn.Linear(1, n, rng=rng()) for n in (1, 2)).append(nn.ReLU())
    assert len(layers) == 3
    assert layers[-1] is list(layers)[2]
    with pytest.raises(TypeError, match="holds modules, not str"):
        layers.append("Linear")
    with pytest.raises(NotImplementedError, match=r"ModuleList does not define forward\(\)"):
        layers(1)


def test_initial_weights_have_pytorchs_distributions_and_follow_the_seed():
    layer = nn.Linear(400, 300, rng=rng())
    bound = 1 / 20
    assert bound * 0.999 < np.abs(layer.weight.data).max() <= bound
    assert np.abs(layer.bias.data).max() <= bound
    assert layer.weight.data.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert layer.weight.dtype == np.float32
    np.testing.assert_array_equal(layer.weight.data, nn.Linear(400, 300, rng=rng()).weight.data)
    embedding = nn.Embedding(300, 100, padding_idx=-1, rng=rng())
    assert embedding.weight.data[:-1].std() == pytest.approx(1, rel=0.02)
    assert not embedding.weight.data[299].any()
    attention = nn.MultiheadAttention(100, 2, rng=rng())
    assert np.abs(attention.in_proj_weight.data).max() == pytest.approx(np.sqrt(6 / 400), rel=0.01)
    assert not attention.in_proj_bias.data.any()
    assert not attention.out_proj.bias.data.any()


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    dropout, x = nn.Dropout(0.25, rng()), Tensor(np.ones(10_000, np.float32))
    out = dropout(x).data
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (out == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert not np.array_equal(out, dropout(x).data)
    np.testing.assert_array_equal(out, nn.Dropout(0.25, rng())(x).data)
    assert dropout.eval()(x) is x


def test_blocks_differ_in_where_they_normalise():
    parts = {"norm1": nn.LayerNorm(4), "norm2": nn.LayerNorm(4), "dropout": nn.Dropout(0.0)}
    parts |= {"attention": nn.Sequential(), "feed_forward": nn.FeedForward(4, 8, nn.ReLU(), rng=rng())}
    x = Tensor(rng(5).standard_normal((2, 3, 4)).astype(np.float32))
    norm, feed_forward = parts["norm1"], parts["feed_forward"]
    summed = x + norm(x)
    pre = summed + feed_forward(norm(summed))
    np.testing.assert_allclose(nn.PreNormBlock(**parts)(x).data, pre.data, rtol=1e-6)
    mixed = norm(x + x)
    post = norm(mixed + feed_forward(mixed))
    np.testing.assert_allclose(nn.PostNormBlock(**parts)(x).data, post.data, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(0, 2), ValueError, "Linear: in_features must be an integer of at least 1, not 0"),
        (lambda: nn.Linear(2, 2.0), ValueError, "out_features must be an integer of at least 1, not 2.0"),
        (lambda: nn.Linear(2, 2, rng=3), TypeError, r"rng must be a np.random.Generator.*not 3"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), IndexError, "padding_idx 3 is out of range for 3"),
        (lambda: nn.LayerNorm(()), ValueError, "normalized_shape"),
        (lambda: nn.Dropout(1.5), ValueError, "probability must be between 0 and 1, not 1.5"),
        (lambda: nn.GELU("erf"), ValueError, "approximate must be"),
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "n_heads must divide d_model, but 6 / 4"),
        (lambda: nn.CausalSelfAttention(6, 4), ValueError, "n_heads must divide d_model, but 6 / 4"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), ValueError, "activation must be"),
        (lambda: nn.TransformerEncoder(nn.ReLU(), 0), ValueError, "num_layers"),
    ],
)
def test_impossible_layers(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("shapes", "masks", "message"),
    [
        (((2, 3, 4), (2, 3, 4), (2, 5, 4)), {}, "key and value must agree"),
        (((2, 3, 4), (1, 3, 4), (1, 3, 4)), {}, "and all in the batch size"),
        (((2, 3, 5), (2, 3, 4), (2, 3, 4)), {}, "the last dim must be embed_dim = 4"),
        (((2, 3, 4), (3, 4), (3, 4)), {}, "three inputs of 2 or 3 dims"),
        (((2, 3, 4),) * 3, {"attn_mask": np.zeros((3, 2))}, r"attn_mask has shape \(3, 2\), expected .*\(3, 3\)"),
        (((2, 3, 4),) * 3, {"key_padding_mask": np.zeros((3, 3), bool)}, r"expected \(N, S\) = \(2, 3\)"),
    ],
)
def test_attention_inputs_that_do_not_fit(shapes, masks, message):
    layer = nn.MultiheadAttention(4, 2, batch_first=True, rng=rng())
    with pytest.raises(ValueError, match=message):
        layer(*(Tensor(np.zeros(shape, np.float32)) for shape in shapes), **masks)


def test_integer_masks_are_refused():
    layer, x = nn.MultiheadAttention(4, 2, rng=rng()), Tensor(np.zeros((3, 1, 4), np.float32))
    with pytest.raises(TypeError, match=r"boolean .* or floating point"):
        layer(x, x, x, attn_mask=np.zeros((3, 3), np.int64))


def test_module_dict():
    model = nn.ModuleDict({"b": nn.Linear(1, 2, rng=rng()), "a": nn.ReLU()})
    model["c"] = nn.Linear(2, 1, rng=rng())
    assert (list(model), len(model), "a" in model, "x" in model) == (["b", "a", "c"], 3, True, False)
    assert [name for name, _ in model.named_parameters()] == ["b.weight", "b.bias", "c.weight", "c.bias"]
    assert dict(model.items())["a"] is model["a"]
    with pytest.raises(KeyError):
        model["x"]
    for name in ("", "x.y", "train", 3):
        with pytest.raises(ValueError, match="cannot be a name here"):
            model[name] = nn.ReLU()
    with pytest.raises(TypeError, match="ModuleDict holds modules, not int"):
        model["x"] = 3
