"""Pictures: what stands in them, and the errors. How they look, a person has to judge."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import mlpkern as mk
from mlpkern import plots
from mlpkern.activations import ACTIVATIONS
from mlpkern.cli import main

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

HISTORY = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 2.5, 2.0]}


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.axison]


def test_every_activation_is_drawn_and_the_compared_ones_come_first():
    shown = titles(plots.activations())
    assert [title.partition("(")[0] for title in shown[:4]] == [
        "ReLU",
        "LeakyReLU",
        "Softplus",
        "GELU",
    ]
    elementwise = {name for name, cls in ACTIVATIONS.items() if not cls.by_rows}
    assert {title.partition("(")[0] for title in shown} == elementwise


def test_the_curves_are_the_function_and_its_derivatives():
    f = mk.Softplus()
    (axis,) = plots.activations(["softplus"], span=2.0).axes
    lines = {line.get_label(): line for line in axis.get_lines()}
    functions = (f, f.derivative, f.second_derivative)
    for primes, function in zip(("", "\N{PRIME}", "\N{DOUBLE PRIME}"), functions, strict=True):
        s, values = lines[f"f{primes}(s)"].get_data()
        assert (s[0], s[-1]) == (-2, 2)
        np.testing.assert_array_equal(values, function(np.asarray(s)))


def test_no_line_is_drawn_across_a_jump():
    (axis,) = plots.activations(["hardshrink"]).axes
    lines = {line.get_label(): line for line in axis.get_lines()}
    s, values = map(np.asarray, lines["f(s)"].get_data())
    assert np.isnan(values).sum() == 2
    np.testing.assert_allclose(np.abs(s[np.isnan(values)]), 0.5, atol=0.01)
    steep = {line.get_label(): line for line in plots.activations(["exp"]).axes[0].get_lines()}
    assert not np.isnan(steep["f(s)"].get_ydata()).any()


def test_losses():
    figure = plots.losses({"a": HISTORY, "b": {"loss": [1.0]}, "c": HISTORY, "d": HISTORY})
    assert titles(figure) == ["a", "b", "c", "d"]
    first = figure.axes[0].get_lines()
    assert [line.get_label() for line in first] == ["training", "held out"]
    assert list(first[0].get_ydata()) == HISTORY["loss"]
    assert list(first[0].get_xdata()) == [1, 2, 3]


def test_digits():
    figure = plots.digits(np.ones((13, 64)), np.arange(13) % 10, np.zeros(13, int), "title")
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts][:3] == ["0", "0, not 1", "0, not 2"]
    assert np.asarray(axis.images[0].get_array()).sum() == 13 * 64
    assert figure.get_suptitle() == "title"


@pytest.mark.parametrize(
    ("name", "text"), [("softargmax", "works by rows"), ("rely", "rely")], ids=["rows", "unknown"]
)
def test_what_cannot_be_drawn(name, text):
    with pytest.raises(ValueError, match=text):
        plots.activations([name])


def test_a_format_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match=r"a picture's name must end in \..*\.png.*, not 'x\.exe'"):
        plots.write(plots.losses({"a": HISTORY}), "x.exe")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ImportError, match=r"pictures need matplotlib: pip install 'mlpkern\[demo\]'"
    ):
        plots.activations()


def test_plot_activations(capsys, tmp_path):
    path = tmp_path / "a.svg"
    assert main(["plot", "activations", "tanh", "gelu", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert ET.parse(path).getroot().tag.endswith("svg")
    assert main(["plot", "activations", "rely", "--out", str(path)]) == 1
    assert main(["plot", "activations", "tanh", "--out", "a.exe"]) == 1


def test_plot_graph(capsys, tmp_path):
    model, svg, dot = (str(tmp_path / name) for name in ("model.npz", "g.svg", "g.dot"))
    mk.save(model, mk.MLP([4, 3, 2]))
    assert main(["plot", "graph", "--model", model, "--out", svg]) == 0
    assert main(["plot", "graph", "--sizes", "4-3-2", "--hidden", "relu", "--out", dot]) == 0
    assert ET.parse(svg).getroot().tag.endswith("svg")
    text = (tmp_path / "g.dot").read_text()
    assert text.startswith("digraph")
    assert "ReLU" in text


def test_plot_loss(capsys, tmp_path):
    model, out = str(tmp_path / "model.npz"), tmp_path / "loss.png"
    mk.save(model, mk.MLP([2, 2]), {"history": HISTORY})
    assert main(["plot", "loss", model, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    mk.save(model, mk.MLP([2, 2]))
    assert main(["plot", "loss", model, "--out", str(out)]) == 1
    assert "was not saved by mlpkern train: it holds no losses" in capsys.readouterr().err
