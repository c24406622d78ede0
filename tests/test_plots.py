"""Pictures: files that show something, made without any display."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from tinygrad_llm.plots import attention_map, heat_map, loss_curve, running_mean

TRAIN = [(step, 5 / (1 + step / 50)) for step in range(0, 300, 10)]
VALIDATION = [(100, 2.0), (200, 1.5), (290, 1.2)]


def pixels_near(path, hex_colour, tolerance=0.06):
    colour = np.array([int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return int((np.abs(imread(path)[..., :3] - colour).max(axis=-1) < tolerance).sum())


def test_the_loss_curve_shows_each_line_in_its_colour(tmp_path):
    path = tmp_path / "loss.png"
    loss_curve(path, TRAIN, VALIDATION, {"zlib": 2.5, "lzma": 2.2}, title="a run")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert imread(path).std() > 0.05
    for colour in ("#0072B2", "#D55E00", "#CC79A7", "#009E73"):
        assert pixels_near(path, colour) > 150, colour
    loss_curve(path, TRAIN, [])
    assert pixels_near(path, "#0072B2") > 150
    assert pixels_near(path, "#D55E00") == 0


def test_a_curve_needs_something_to_draw(tmp_path):
    with pytest.raises(ValueError, match="there are no losses to draw"):
        loss_curve(tmp_path / "loss.png", [], [])
    assert not (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("n_heads", [None, 1, 3])
def test_the_attention_map_shows_the_weights(tmp_path, n_heads):
    tokens = ["The", " cat", "\n", " sat"]
    weights = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    path = tmp_path / "attention.png"
    attention_map(path, weights if n_heads is None else np.stack([weights] * n_heads), tokens)
    image = imread(path)
    assert image.std() > 0.1
    wider = image.shape[1] / image.shape[0]
    assert (wider > 1.5) == (n_heads == 3)


def test_attention_must_fit_the_tokens(tmp_path):
    with pytest.raises(ValueError, match=r"weights of shape \(3, 3\) do not fit 2 tokens"):
        attention_map(tmp_path / "a.png", np.ones((3, 3)), ["a", "b"])


def test_the_heat_map_shows_the_values(tmp_path):
    path = tmp_path / "heat.png"
    heat_map(path, [[0.0, 1.0, np.nan]], ["a"], ["x", "y", "z"], "three values", numbers=".1f", unit="probability")
    image = imread(path)
    assert image.std() > 0.1
    for lowest_and_highest in ("#00224E", "#FEE838"):  # of cividis
        assert pixels_near(path, lowest_and_highest) > 500
    heat_map(tmp_path / "heat.svg", np.eye(30), ["row"] * 30, ["column"] * 30, row_title="from", column_title="to")
    assert (tmp_path / "heat.svg").read_text().startswith("<?xml")


def test_a_heat_map_needs_a_label_per_row_and_column(tmp_path):
    message = r"shape \(2, 3\) does not fit 2 row labels and 2 column labels"
    with pytest.raises(ValueError, match=message):
        heat_map(tmp_path / "h.png", np.ones((2, 3)), ["a", "b"], ["a", "b"])


def test_running_mean():
    np.testing.assert_allclose(running_mean([1, 2, 3, 4, 8], reach=1), [1.5, 2, 3, 5, 6])
    np.testing.assert_array_equal(running_mean([1, 2, 3], reach=0), [1, 2, 3])


def test_no_global_state_of_pyplot_is_used(tmp_path):
    code = (
        "import sys; from tinygrad_llm.plots import loss_curve; "
        f"loss_curve({str(tmp_path / 'l.png')!r}, [(1, 2.0), (2, 1.0)], []); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
