"""TensorBoard's own loader reads back what `pretrain --tensorboard` and `EventWriter` wrote."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from cli_runs import TINY, call, pretrain, read_log, write_text
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

from tinygrad_llm import functional as F
from tinygrad_llm import nn, no_grad
from tinygrad_llm.applications import attention_weights
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.plots import attention_map
from tinygrad_llm.plots.maps import token_labels
from tinygrad_llm.train import open_run
from tinygrad_llm.train.tracking import BUCKETS, MAX_VALUES, EventWriter


def load(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()


def scalars(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events.Scalars(tag)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of 6 steps: log lines at 2, 3, 4, 6, evaluations at 3 and 6, a sample at 4."""
    folder = tmp_path_factory.mktemp("runs")
    text = write_text(folder / "text.txt")
    pretrain(folder / "run", text, "--tensorboard", "--sample-every", "4")
    return folder / "run"


@pytest.fixture(scope="module")
def events(run):
    return load(run / "tensorboard")


def test_curves_are_those_of_the_log(run, events):
    log = read_log(run)
    for name, tag in (("loss", "loss"), ("lr", "learning_rate"), ("grad_norm", "gradient_norm")):
        expected = {line["step"]: pytest.approx(line[name], rel=1e-6) for line in log}
        assert scalars(events, f"train/{tag}") == expected
    speed = scalars(events, "train/tokens_per_second")
    assert speed.keys() == {2, 3, 4, 6}
    assert min(speed.values()) > 0
    validation = {line["step"]: line["validation_bits_per_byte"] for line in log if "validation_loss" in line}
    assert scalars(events, "validation/bits_per_byte") == pytest.approx(validation, rel=1e-6)
    assert scalars(events, "validation/loss").keys() == {3, 6}


def test_histograms_of_all_parameters_and_gradients(run, events):
    model, _ = open_run(run).load_model("last")
    for name, parameter in model.named_parameters():
        first, last = events.Histograms(f"parameters/{name}")
        assert (first.step, last.step) == (3, 6)
        histogram = last.histogram_value
        assert histogram.num == parameter.data.size == sum(histogram.bucket)
        assert histogram.min == parameter.data.min()
        assert histogram.max == parameter.data.max() == pytest.approx(histogram.bucket_limit[-1])
        assert histogram.sum == pytest.approx(parameter.data.sum(dtype=np.float64), abs=1e-9)
        gradient = events.Histograms(f"gradients/{name}")[-1].histogram_value
        assert gradient.num == parameter.data.size
        assert gradient.sum_squares > 0
    squares = sum(
        events.Histograms(tag)[-1].histogram_value.sum_squares
        for tag in events.Tags()["histograms"]
        if tag.startswith("gradients/")
    )
    assert squares <= 1.0 + 1e-5, "they are clipped to norm 1"


def test_samples_are_there_as_text(run, events):
    assert events.SummaryMetadata("sample").plugin_data.plugin_name == "text"
    samples = {event.step: event.tensor_proto.string_val[0].decode() for event in events.Tensors("sample")}
    assert samples.keys() == {4, 6}
    lines = (run / "sample.txt").read_text()[:-1].split("\n")
    assert samples[6].split("\n") == ["    " + line for line in lines]


def test_attention_maps_are_there_as_pictures(run, events):
    tags = events.Tags()["images"]
    assert tags == ["attention/block 0", "attention/block 1"]
    for tag in tags:
        first, last = events.Images(tag)
        assert (first.step, last.step) == (3, 6)
        pixels = imread(io.BytesIO(last.encoded_image_string))
        assert pixels.shape[:2] == (last.height, last.width)
        assert pixels[..., :3].std() > 0.05, "not blank"
        assert first.encoded_image_string != last.encoded_image_string


def test_a_resumed_run_goes_on_where_its_checkpoint_stood(run, tmp_path):
    """Steps after the checkpoint, which are done again, are not shown twice."""
    text = write_text(tmp_path / "text.txt")
    pretrain(tmp_path / "run", text, "--steps", "3")
    with EventWriter(tmp_path / "run" / "tensorboard") as writer:
        writer.scalars(3, {"train/loss": 1.0})
        writer.scalars(4, {"train/loss": 99.0})
    code, _, err = call("pretrain", "--resume", tmp_path / "run", "--tensorboard", "--steps", "9")
    assert code == 0, err
    losses = scalars(load(tmp_path / "run" / "tensorboard"), "train/loss")
    assert list(losses) == [3, 4, 6, 8, 9]
    assert losses[3] == 1.0
    assert losses[4] < 90
    assert open_run(tmp_path / "run").config.tensorboard


def test_without_the_option_nothing_is_written(tmp_path):
    pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--steps", "1")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_writing_events_changes_nothing_of_the_training(run, tmp_path):
    pretrain(tmp_path / "run", write_text(tmp_path / "text.txt"), "--sample-every", "4", "--dropout", "0.1")
    pretrain(tmp_path / "seen", tmp_path / "text.txt", "--sample-every", "4", "--dropout", "0.1", "--tensorboard")
    one, two = (
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(tmp_path / name)]
        for name in ("run", "seen")
    )
    assert one == two


def test_the_error_without_the_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    text = write_text(tmp_path / "text.txt")
    code, out, err = call("pretrain", *TINY, "--tensorboard", "--corpus", text, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert 'pip install "tinygrad_llm[tensorboard]"' in err
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"tinygrad_llm\[tensorboard\]"):
        EventWriter(tmp_path)


def test_neither_torch_nor_tensorflow_is_imported(tmp_path):
    code = "import sys; from tinygrad_llm.train.tracking import EventWriter\n"
    code += "assert 'tensorboard' not in sys.modules\n"
    code += f"with EventWriter({str(tmp_path)!r}) as events: events.scalars(1, {{'a': 1}})\n"
    code += "assert 'tensorboard' in sys.modules and not {'torch', 'tensorflow'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def histogram_of(tmp_path, values):
    with EventWriter(tmp_path) as writer:
        writer.histogram(7, "h", np.asarray(values))
    events = load(tmp_path)
    return events.Histograms("h")[0].histogram_value if "h" in events.Tags()["histograms"] else None


def test_histogram_counts(tmp_path):
    histogram = histogram_of(tmp_path, [[0.0, 1.0], [1.0, np.nan]])
    assert (histogram.num, histogram.sum, histogram.sum_squares) == (3, 2, 2)
    assert len(histogram.bucket) == BUCKETS
    assert (histogram.bucket[0], histogram.bucket[-1]) == (1, 2)


def test_histogram_of_a_large_array_is_of_a_sample(tmp_path):
    histogram = histogram_of(tmp_path, np.arange(3 * MAX_VALUES, dtype=np.float32))
    assert histogram.num == MAX_VALUES
    assert histogram.sum / histogram.num == pytest.approx(1.5 * MAX_VALUES, rel=1e-3)


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_histogram_of_nothing_is_left_out(tmp_path, values):
    assert histogram_of(tmp_path, values) is None


def test_labels_of_tokens_that_the_font_of_pictures_lacks(tmp_path):
    """matplotlib would draw boxes, and warn."""
    tokens = ["中", "a\n", "é"]
    assert token_labels(tokens) == ["U+4E2D", "a\\n", "é"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_map(tmp_path / "map.png", np.eye(3), tokens)


def test_a_picture_must_be_a_png(tmp_path):
    with EventWriter(tmp_path) as writer, pytest.raises(ValueError, match="'a' is no PNG file"):
        writer.image(1, "a", b"GIF89a")


def assert_causal(weights: np.ndarray) -> None:
    """(H, T, T): each row adds up to 1, and looks at nothing that follows."""
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    assert (np.triu(weights, 1) == 0).all()


def test_attention_weights_give_what_the_attention_gives():
    """They are the weights with which the fused kernel mixes the values, and leave the model as it was."""
    config = GPTConfig(vocab_size=20, max_seq_len=12, n_layers=2, n_heads=2, d_model=16, dropout=0.5)
    model, ids = GPT(config, np.random.default_rng(0)), np.arange(10)
    weights = attention_weights(model, ids)
    assert model.training
    assert [each.shape for each in weights] == [(2, 10, 10)] * 2
    model.eval()
    with no_grad():
        x = model.token_embedding(ids[None]) + model.position_embedding(np.arange(10))
        for block, each in zip(model.blocks, weights, strict=True):
            assert_causal(each)
            hidden = block.norm1(x)
            values = block.attention.qkv(hidden).data[0, :, 32:].reshape(10, 2, 8).swapaxes(0, 1)
            mixed = nn.Parameter((each @ values).swapaxes(0, 1).reshape(1, 10, 16))
            out = F.linear(mixed, block.attention.out.weight, block.attention.out.bias)
            np.testing.assert_allclose(out.data, block.attention(hidden).data, rtol=1e-4, atol=1e-6)
            x = block(x)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_attention_weights_of_a_llama_give_what_its_attention_gives(n_kv_heads):
    """Queries and keys are turned, and each key head serves a group of query heads."""
    config = LlamaConfig(20, 12, n_layers=2, n_heads=4, n_kv_heads=n_kv_heads, d_model=16, d_ff=32, init_std=0.5)
    model, ids = Llama(config, np.random.default_rng(0)), np.arange(10)
    weights = attention_weights(model, ids)
    assert [each.shape for each in weights] == [(4, 10, 10)] * 2
    with no_grad():
        x = model.token_embedding(ids[None])
        for block, each in zip(model.blocks, weights, strict=True):
            assert_causal(each)
            assert each[:, 1:].max() > 0.9, "it looks at something"
            hidden = block.norm1(x)
            values = block.attention.value(hidden).data.reshape(10, n_kv_heads, 4).swapaxes(0, 1)
            mixed = (each @ np.repeat(values, 4 // n_kv_heads, axis=0)).swapaxes(0, 1).reshape(10, 16)
            out = mixed @ block.attention.out.weight.data.T
            np.testing.assert_allclose(out, block.attention(hidden).data[0], rtol=1e-4, atol=1e-5)
            x = block(x)


def test_attention_weights_of_a_bert_give_what_its_attention_gives():
    """They are of the block's input itself, since the norms come after, and look both ways."""
    config = BERTConfig(20, 12, n_layers=2, n_heads=2, d_model=16, d_ff=32, dropout=0.5, init_std=0.5)
    model, ids = BERT(config, np.random.default_rng(0)), np.arange(10)
    weights = attention_weights(model, ids)
    assert model.training
    model.eval()
    with no_grad():
        x = model.token_embedding(ids[None]) + model.position_embedding(np.arange(10))
        x = model.norm(x + model.segment_embedding(np.zeros(10, np.int64)))
        for block, each in zip(model.blocks, weights, strict=True):
            np.testing.assert_allclose(each.sum(-1), 1, rtol=1e-6)
            assert (each.shape, each[:, 0, 1:].max() > 0.05) == ((2, 10, 10), True)
            values = block.attention.qkv(x).data[0, :, 32:].reshape(10, 2, 8).swapaxes(0, 1)
            mixed = nn.Parameter((each @ values).swapaxes(0, 1).reshape(1, 10, 16))
            out = F.linear(mixed, block.attention.out.weight, block.attention.out.bias)
            np.testing.assert_allclose(out.data, block.attention(x).data, rtol=1e-4, atol=1e-5)
            x = block(x)
        np.testing.assert_array_equal(x.data, model(ids[None]).data)


def test_a_berts_run_has_its_pictures_and_curves_too(tmp_path):
    text = write_text(tmp_path / "text.txt")
    options = ("--model", "bert", "--vocab-size", "100", "--steps", "2")
    pretrain(tmp_path / "run", text, "--tensorboard", *options)
    events = load(tmp_path / "run" / "tensorboard")
    tags = events.Tags()
    assert tags["images"] == ["attention/block 0", "attention/block 1"]
    assert {"validation/loss", "validation/accuracy", "validation/unigram_loss"} <= set(tags["scalars"])
    assert "gradients/masked_lm_head.bias" in tags["histograms"]
    (sample,) = events.Tensors("sample")
    assert "[guess]" in sample.tensor_proto.string_val[0].decode()


def test_a_llamas_run_has_its_pictures_too(tmp_path):
    text = write_text(tmp_path / "text.txt")
    pretrain(tmp_path / "run", text, "--tensorboard", "--model", "llama", "--steps", "2")
    tags = load(tmp_path / "run" / "tensorboard").Tags()
    assert tags["images"] == ["attention/block 0", "attention/block 1"]
    assert "gradients/blocks.1.attention.key.weight" in tags["histograms"]
