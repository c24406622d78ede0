"""Graphs as pictures: nothing overlaps, arrows meet no box, and the computation graph is all there."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from tinygrad_llm import functional as F
from tinygrad_llm import no_grad, tensor
from tinygrad_llm.plots import graph, layered_graph, layered_layout
from tinygrad_llm.plots.graph import graph_boxes

DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]
TREE = [(0, 6), (1, 6), (2, 4), (3, 4), (4, 7), (5, 7), (6, 8), (7, 8)]
LADDER = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (0, 4), (1, 5), (2, 6), (3, 7)]
BESIDE = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (0, 4)]  # two long arrows beside a chain
K33 = [(start, end) for start in (0, 1, 2) for end in (3, 4, 5)]  # in two layers it has 9 crossings


def points_on(curve, n=30):
    """Points on the Bézier pieces of a curve: (M, 2)."""
    t = np.linspace(0, 1, n)[:, None]
    pieces = [curve[i : i + 4] for i in range(0, len(curve) - 1, 3)]
    return np.concatenate(
        [(1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d for a, b, c, d in pieces]
    )


def assert_readable(layout, edges, direction="down"):
    boxes = layout.boxes
    for one, other in combinations(boxes, 2):
        assert (one[2:] <= other[:2] + 1e-9).any() or (other[2:] <= one[:2] + 1e-9).any(), "boxes overlap"
    along = 1 if direction == "down" else 0
    for (start, end), curve in zip(edges, layout.curves, strict=True):
        points = points_on(curve)
        assert points[0][along] == pytest.approx(boxes[start][2 + along])
        assert points[-1][along] == pytest.approx(boxes[end][along])
        assert (np.diff(points[:, along]) > -1e-9).all(), "an arrow turns back"
        for box in boxes:
            inside = (points > box[:2] + 1e-6).all(axis=1) & (points < box[2:] - 1e-6).all(axis=1)
            assert not inside.any(), "an arrow runs through a box"
    everything = np.concatenate([boxes.reshape(-1, 2), *layout.curves])
    assert everything.min() > -1e-9
    assert (everything.max(axis=0) <= np.array(layout.size) + 1e-9).all()


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize(("edges", "crossings"), [(DIAMOND, 0), (TREE, 0), (LADDER, 0), (BESIDE, 0), ([], 0), (K33, 9)])
def test_known_graphs(edges, crossings, direction):
    n = max((end for _, end in edges), default=0) + 1
    layout = layered_layout([(1.0 + 0.3 * (i % 3), 0.5) for i in range(n)], edges, direction)
    assert layout.crossings == crossings
    assert len(layout.boxes) == n
    assert_readable(layout, edges, direction)
    assert all(layout.layers[start] < layout.layers[end] for start, end in edges)


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.floats(0.2, 3), st.floats(0.2, 1.5)), min_size=n, max_size=n))
    pairs = list(combinations(range(n), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=24)) if pairs else []
    order = draw(st.permutations(range(n)))  # boxes need not be numbered along the arrows
    return sizes, [(order[start], order[end]) for start, end in edges]


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["down", "right"]))
def test_any_graph_is_readable(drawn, direction):
    sizes, edges = drawn
    layout = layered_layout(sizes, edges, direction)
    np.testing.assert_allclose(layout.boxes[:, 2:] - layout.boxes[:, :2], sizes)
    assert_readable(layout, edges, direction)


def test_arrows_without_a_branch_are_straight():
    layout = layered_layout([(1, 0.5), (2, 0.5), (0.5, 1)], [(0, 1), (1, 2)])
    assert np.ptp(layout.boxes[:, 0] + layout.boxes[:, 2]) < 1e-6
    long_one = layered_layout([(1, 0.5)] * 5, BESIDE).curves[-1]
    waypoints = long_one[4:-4]
    assert np.ptp(waypoints[:, 0]) < 1e-6


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 1), (1, 2), (2, 1)], "in a circle"),
        ([(0, 3)], r"edge \(0, 3\) is not between two different boxes of 3"),
        ([(1, 1)], r"edge \(1, 1\) is not between two different boxes"),
    ],
)
def test_impossible_graphs(edges, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        layered_graph(tmp_path / "g.png", ["a", "b", "c"], edges, ["op"] * 3)


def test_a_drawing_has_boxes_words_and_arrows(tmp_path):
    labels = ["a", "several\nlines", "", "result"]
    layout = layered_graph(tmp_path / "g.png", labels, DIAMOND, ["leaf", "op", "value", "result"], title="a diamond")
    assert len(layout.boxes) == 4
    image = imread(tmp_path / "g.png")[..., :3]
    assert image.std() > 0.1
    dark = (np.abs(image - np.array([0x2F, 0x36, 0x40]) / 255) < 0.02).all(axis=-1)
    assert dark.sum() > 2000
    layered_graph(tmp_path / "g.svg", labels, DIAMOND, ["leaf", "op", "value", "result"])
    text = (tmp_path / "g.svg").read_text()
    assert text.startswith("<?xml")
    assert text.count('id="patch_') >= 4 + len(DIAMOND)


def test_wrong_calls_of_layered_graph(tmp_path):
    with pytest.raises(ValueError, match="2 labels and 1 kinds"):
        layered_graph(tmp_path / "g.png", ["a", "b"], [], ["op"])
    with pytest.raises(ValueError, match="0 labels"):
        layered_graph(tmp_path / "g.png", [], [], [])
    with pytest.raises(ValueError, match="no kind 'ops', only op, leaf"):
        layered_graph(tmp_path / "g.png", ["a"], [], ["ops"])
    with pytest.raises(ValueError, match='"down" or "right", not \'up\''):
        layered_graph(tmp_path / "g.png", ["a"], [], ["op"], direction="up")
    with pytest.raises(ValueError, match=r"a \.png or an \.svg file"):
        layered_graph(tmp_path / "g.jpg", ["a"], [], ["op"])
    assert list(tmp_path.iterdir()) == []


def small_graph():
    a, b = tensor(2.0, requires_grad=True), tensor(-3.0, requires_grad=True)
    c = a * b
    return a, b, c, c + a


def test_the_graph_of_a_tensor():
    a, b, c, d = small_graph()
    labels, edges, kinds = graph_boxes(d, {"a": a, "b": b, "c": c})
    assert labels == ["a\n2", "b\n-3", "Mul", "c\n-6", "Add", "-4"]
    assert kinds == ["leaf", "leaf", "op", "value", "op", "result"]
    assert edges == [(0, 2), (1, 2), (2, 3), (3, 4), (0, 4), (4, 5)]


def test_gradients_are_shown_once_they_are_there():
    a, b, c, d = small_graph()
    c.retain_grad()
    d.backward(retain_graph=True)
    labels, _, _ = graph_boxes(d, {"a": a, "b": b, "c": c, "also c": c})
    assert labels == ["a\n2\ngradient -2", "b\n-3\ngradient 2", "Mul", "c = also c\n-6\ngradient 1", "Add", "-4"]
    labels, edges, _ = graph_boxes(d, {"a": a}, values=False)
    assert labels == ["a", "leaf", "Mul", "Add"]
    assert edges == [(0, 2), (1, 2), (2, 3), (0, 3)]


def test_shapes_constants_and_a_tensor_used_twice():
    x = tensor(np.array([[1.0, 2.0, 3.0]] * 2), requires_grad=True)
    w = tensor(np.array([1.0, 0.5, 0.25]), requires_grad=True)
    y = (x * 2.0) * (x * w)
    labels, edges, kinds = graph_boxes(y.sum(), {"x": x, "w": w})
    assert labels[0] == "x\n(2, 3)\nmean 2, std 0.816"
    assert "w\n(3,)\n[1, 0.5, 0.25]" in labels
    assert kinds.count("constant") == 1
    assert kinds.count("leaf") == 2
    assert len([edge for edge in edges if edge[0] == 0]) == 2
    squared = tensor(3.0, requires_grad=True)
    assert graph_boxes(squared * squared, {})[1][:2] == [(0, 1), (0, 1)]


def test_a_head_of_attention_fits_on_a_page(tmp_path):
    rng = np.random.default_rng(0)
    x, *weights = (tensor(rng.normal(size=(4, 4)), requires_grad=True) for _ in range(5))
    q, k, v = (x @ weight for weight in weights[:3])
    scores = (q @ k.transpose(0, 1)) * 0.5
    loss = ((F.softmax(scores, -1) @ v) @ weights[3] + x).square().mean()
    names = {"x": x, "scores": scores, "loss": loss}
    layout = graph(tmp_path / "g.png", loss, names=names, title="attention")
    labels, edges, kinds = graph_boxes(loss, names)
    assert len(layout.boxes) == len(labels)
    assert kinds.count("op") == 12
    assert kinds.count("leaf") == 5
    assert layout.crossings <= 2
    assert_readable(layout, edges)
    assert imread(tmp_path / "g.png").std() > 0.1


def test_tensors_that_have_no_picture(tmp_path):
    a, _, _, d = small_graph()
    with pytest.raises(ValueError, match="has no graph: it is a leaf"):
        graph(tmp_path / "g.png", a)
    with no_grad():
        constant = a * 2
    with pytest.raises(ValueError, match="has no graph: no input had requires_grad=True"):
        graph(tmp_path / "g.png", constant)
    d.backward()
    with pytest.raises(ValueError, match=r"freed this graph; draw it before, or call backward\(retain_graph=True\)"):
        graph(tmp_path / "g.png", d)
    for _ in range(90):
        a = a + 1
    with pytest.raises(ValueError, match="90 nodes are too many for a picture"):
        graph(tmp_path / "g.png", a)
    assert list(tmp_path.iterdir()) == []
