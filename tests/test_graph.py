"""The computation graph: names and shapes, how nodes are joined, the drawing, files."""

import dataclasses
import itertools
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

import mlpkern as mk
from mlpkern.graph import graph, html


def nested_network():
    f = mk.Linear(6, 6)
    inner = mk.Sum(f, mk.Linear(6, 6, bias=False))
    branches = mk.Sum(mk.Identity(), mk.Chain(mk.Linear(6, 6), mk.Tanh(), mk.Linear(6, 6)), inner)
    return mk.Chain(mk.Linear(4, 6), mk.Tanh(), branches, mk.ReLU(scale=3.0), f, mk.Linear(6, 2))


def ensemble():
    return mk.Sum(*[mk.MLP([5, 300, 300, 300, 300, 2]) for _ in range(3)])


GRAPHS = {
    "two layers": lambda: graph(mk.MLP([64, 32, 10])),
    "regression": lambda: graph(mk.MLP([3, 8, 2], mk.ReLU(scale=3.0)), mk.SquaredError()),
    "squashed": lambda: graph(mk.MLP([3, 8, 2], output="sigmoid"), mk.SquaredError()),
    "classes": lambda: graph(mk.MLP([3, 8, 1], output="sigmoid"), mk.BinaryCrossEntropy()),
    "rectified": lambda: graph(mk.MLP([3, 8, 1], "relu", "sigmoid"), mk.BinaryCrossEntropy()),
    "multi-class": lambda: graph(mk.MLP([3, 8, 5], output="softmax"), mk.CrossEntropy()),
    "deep": lambda: graph(mk.MLP([784, *[256] * 11, 10]), mk.SquaredError()),
    "sum": lambda: graph(mk.Sum(mk.Linear(2, 3), mk.Linear(2, 3))),
    "nested": lambda: graph(nested_network(), mk.SquaredError(reduction="sum")),
    "ensemble": lambda: graph(ensemble(), mk.SquaredError()),
    "one branch": lambda: graph(mk.Sum(mk.Sum(mk.Tanh()))),
    "no parameters": lambda: graph(mk.Tanh()),
}
every_graph = pytest.mark.parametrize("made", [make() for make in GRAPHS.values()], ids=[*GRAPHS])


def read_dot(text):
    """Labels by node (lines joined by spaces), and the labels before each node, from DOT text."""
    nodes = dict(re.findall(r'^  (v\d+) \[label="([^"]*)"', text, re.MULTILINE))
    labels = {node: label.replace("\\n", " ") for node, label in nodes.items()}
    edges = re.findall(r"^  (v\d+) -> (v\d+);", text, re.MULTILINE)
    before = [(labels[b], sorted(labels[a] for a, c in edges if b == c)) for b in labels]
    return list(labels.values()), before


def boxes(svg):
    """(x, y, width, height) of every rectangle, the translations above it added up."""

    def walk(element, x, y):
        move = re.fullmatch(r"translate\(([-\d.e]+),([-\d.e]+)\)", element.get("transform", ""))
        if move:
            x, y = x + float(move[1]), y + float(move[2])
        if element.tag.endswith("rect"):
            yield x, y, float(element.get("width")), float(element.get("height"))
        for child in element:
            yield from walk(child, x, y)

    return list(walk(ET.fromstring(svg), 0.0, 0.0))


def overlap(a, b):
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))


# --- structure ----------------------------------------------------------------------------------
def test_two_layers_have_the_names_of_the_mathematics():
    labels, before = read_dot(graph(mk.MLP([64, 32, 10])).dot)
    assert labels == [
        "x (n, 64)",
        "Linear1 W1 (64, 32) b1 (32,)",
        "s1 (n, 32)",
        "Tanh",
        "a1 (n, 32)",
        "Linear2 W2 (32, 10) b2 (10,)",
        "s2 (n, 10)",
        "Identity",
        "y_pred (n, 10)",
    ]
    assert before == [(labels[0], []), *((b, [a]) for a, b in itertools.pairwise(labels))]


def test_the_names_are_those_of_a_trace(rng):
    net, loss = mk.MLP([3, 4, 5, 2]), mk.SquaredError()
    x, y = rng.normal(size=(7, 3)).astype("f4"), rng.normal(size=(7, 2)).astype("f4")
    labels, _ = read_dot(graph(net, loss).dot)
    drawn = dict(re.findall(r"\b(\w+) (\([n\d][^)]*\))", " ".join(labels)))
    for name, value in net.trace(x, y, loss).items():
        if name != "C" and "/" not in name:
            assert drawn.pop(name).replace("n", "7") == str(value.shape)
    assert not drawn


def test_a_loss_adds_its_box_and_the_target():
    _, before = read_dot(graph(mk.MLP([3, 4, 2]), mk.SquaredError(reduction="sum")).dot)
    assert before[-1] == ("C SquaredError sum over n", ["y (n, 2)", "y_pred (n, 2)"])
    _, before = read_dot(graph(mk.MLP([3, 4]), mk.CrossEntropy(label_smoothing=0.1)).dot)
    assert before[-1] == (
        "C CrossEntropy label_smoothing=0.1 mean over n",
        ["y (n,) or (n, 4)", "y_pred (n, 4)"],
    )


def test_sums_within_sums_and_a_shared_map():
    labels, before = read_dot(graph(nested_network()).dot)
    sums = [sources for label, sources in before if label == "+"]
    assert sums == [["s4 (n, 6)", "s5 (n, 6)"], ["a1 (n, 6)", "h1 (n, 6)", "s3 (n, 6)"]]
    begins = [label for label, sources in before if sources == ["a1 (n, 6)"]]
    assert begins == [
        "Identity",
        "Linear2 W2 (6, 6) b2 (6,)",
        "Linear4 W4 (6, 6) b4 (6,)",
        "Linear5 W5 (6, 6)",
    ]
    assert labels.count("Linear4 W4 (6, 6) b4 (6,)") == 2
    assert ("Linear4 W4 (6, 6) b4 (6,)", ["h3 (n, 6)"]) in before
    assert labels[-3:] == ["s6 (n, 6)", "Linear6 W6 (6, 2) b6 (2,)", "y_pred (n, 2)"]


def test_a_map_added_to_itself_is_drawn_twice():
    f = mk.Linear(2, 3)
    labels, before = read_dot(graph(mk.Sum(f, f)).dot)
    assert labels.count("Linear1 W1 (2, 3) b1 (3,)") == 2
    assert ("+", ["s1 (n, 3)", "s2 (n, 3)"]) in before


@pytest.mark.parametrize(
    ("f", "label"),
    [
        (mk.ReLU(), "ReLU"),
        (mk.ReLU(scale=3.0), "ReLU scale=3"),
        (mk.GELU(approximate="tanh"), "GELU approximate=tanh"),
        (mk.Softargmax(beta=0.5), "Softargmax beta=0.5"),
    ],
)
def test_parameters_are_shown_where_they_are_not_the_defaults(f, label):
    assert read_dot(graph(f).dot)[0] == ["x (n, D)", label, "y_pred (n, D)"]


def test_the_method_of_a_map():
    net = mk.MLP([2, 3, 1])
    assert net.graph() == graph(net)


# --- text and picture ---------------------------------------------------------------------------
@every_graph
def test_the_dot_text_is_balanced(made):
    for opening, closing in ("{}", "[]", "()"):
        assert made.dot.count(opening) == made.dot.count(closing) > 0
    assert all(line.count('"') % 2 == 0 for line in made.dot.splitlines())
    assert str(made) == repr(made) == made.dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
@every_graph
def test_graphviz_reads_the_dot_text(made):
    drawn = subprocess.run(["dot", "-Tplain"], input=made.dot, capture_output=True, text=True)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    nodes = [line for line in drawn.stdout.splitlines() if line.startswith("node ")]
    assert len(nodes) == len(read_dot(made.dot)[0])


@every_graph
def test_the_picture_shows_what_the_text_says(made):
    root = ET.fromstring(made.svg)
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    labels, _ = read_dot(made.dot)
    assert sorted(" ".join(shown).split()) == sorted(" ".join(labels).split())
    assert made._repr_svg_() == made.svg


@every_graph
def test_boxes_lie_inside_the_picture_and_apart(made):
    left, top, width, height = map(float, ET.fromstring(made.svg).get("viewBox").split())
    drawn = boxes(made.svg)
    assert len(drawn) == len(read_dot(made.dot)[0])
    for x, y, w, h in drawn:
        assert left < x < x + w < left + width
        assert top < y < y + h < top + height
    assert not any(overlap(a, b) for a, b in itertools.combinations(drawn, 2))


def test_overlap_is_found():
    assert overlap((0, 0, 10, 10), (9, 9, 10, 10))
    assert not overlap((0, 0, 10, 10), (11, 0, 10, 10))


def test_a_deep_network_is_drawn_in_rows():
    width = {depth: graph(mk.MLP([64] * depth)).svg.split('"')[3] for depth in (4, 13, 40)}
    assert max(map(float, width.values())) < 1100


def test_texts_fit_their_boxes():
    wide = graph(mk.MLP([123456, 2]), mk.CrossEntropy(from_logits=True, label_smoothing=0.125))
    for group in ET.fromstring(wide.svg).iter("{http://www.w3.org/2000/svg}g"):
        rect = group.find("{*}rect")
        if rect is not None:
            for text in group.findall("{*}text"):
                em = float(text.get("font-size", 12))
                assert 0.5 * em * len(text.text) < float(rect.get("width"))


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (lambda: mk.MLP([30, 40, 2], "relu"), "1,322 parameters, float32"),
        (lambda: mk.Sum(f := mk.Linear(2, 3, dtype="f8"), f), "9 parameters, float64"),
        (lambda: mk.GELU(approximate="tanh"), "no parameters"),
    ],
    ids=["MLP", "shared", "activation"],
)
def test_a_map_in_a_notebook(net, says):
    net = net()
    code, *breaks = ET.fromstring(html(net))
    assert code.text == repr(net)
    assert breaks[0].tail.strip() == says
    assert html(net).count(graph(net).svg) == 1


# --- errors and files ---------------------------------------------------------------------------
def test_what_is_no_map_or_loss_is_refused():
    with pytest.raises(TypeError, match="net must be a Map; got list"):
        graph([1, 2])
    with pytest.raises(TypeError, match="loss must be a Loss or None; got str"):
        graph(mk.Tanh(), "mse")


def test_a_graph_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph(mk.Tanh()).track = ()


@pytest.mark.parametrize("name", ["net.dot", "net.svg", "net.SVG"])
def test_save_chooses_by_suffix(tmp_path, name):
    made = graph(mk.MLP([2, 3, 1]))
    made.save(tmp_path / name)
    text = made.dot if name == "net.dot" else made.svg
    assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert [place.name for place in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["net.png", "net", ".svg"])
def test_save_refuses_other_suffixes(tmp_path, name):
    with pytest.raises(ValueError, match=rf"must end in \.dot or \.svg; got '.*{re.escape(name)}'"):
        graph(mk.Tanh()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())
