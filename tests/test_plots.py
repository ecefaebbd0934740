"""Pictures: what stands in them, and the errors. How they look, a person has to judge."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import mlpkern as mk
from mlpkern import plots
from mlpkern.activations import ACTIVATIONS
from mlpkern.cli import main
from mlpkern.graph import graph

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


def test_the_four_that_are_compared_first_stand_in_one_row_over_one_axis():
    axes = plots.activations(["relu", "leaky_relu", "softplus", "gelu"]).axes
    assert len(axes) == 4
    assert len({(*axis.get_xlim(), *axis.get_ylim()) for axis in axes}) == 1
    assert len({(box.y0, box.y1) for box in (axis.get_position() for axis in axes)}) == 1
    assert [axis.get_xlabel() for axis in axes] == ["s"] * 4


# --- Jacobians ----------------------------------------------------------------------------------
def drawn(figure):
    """The matrices of a picture of Jacobians: values by the first line of the title."""
    axes = [axis for axis in figure.axes if axis.get_title()]
    for axis in axes:
        assert axis.get_title().endswith(str(axis.images[0].get_array().shape))
    return {a.get_title().split("\n")[0]: np.asarray(a.images[0].get_array()) for a in axes}


def sample(net):
    return np.random.default_rng(1).normal(size=net.inputs).astype(net.dtype)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "softargmax"])
def test_jacobians_are_those_of_a_trace_and_their_product(output):
    net = mk.MLP([4, 6, 3, 2], hidden=["tanh", "relu"], output=output, dtype=np.float64)
    x = sample(net)
    found = drawn(plots.jacobians(net, x))
    factors = ["dy_pred/ds3", "ds3/da2", "da2/ds2", "ds2/da1", "da1/ds1", "ds1/dx"]
    assert list(found) == ["dy_pred/dx", *factors]
    t = net.trace(x[None], net.predict(x[None]), mk.SquaredError())
    for name in factors:
        expected = t[name][0] if t[name].ndim == 3 else t[name]
        np.testing.assert_array_equal(found[name], expected)
    for name in ("da1/ds1", "da2/ds2"):
        assert not np.any(found[name] - np.diag(np.diag(found[name])))
    step = 1e-6 * np.eye(4)
    differences = (net.predict(x + step) - net.predict(x - step)).T / 2e-6
    np.testing.assert_allclose(found["dy_pred/dx"], differences, atol=1e-8)


def test_a_dimension_has_one_length_and_colours_are_symmetric():
    net = mk.MLP([300, 16, 2])
    figure = plots.jacobians(net, sample(net))
    lengths = {}
    for axis in figure.axes[:5]:
        image, box = axis.images[0], axis.get_position()
        inches = np.array([box.height, box.width]) * figure.get_size_inches()[::-1]
        for side, length in zip(image.get_array().shape, inches, strict=True):
            assert lengths.setdefault(side, length) == pytest.approx(length)
        low, high = image.get_clim()
        assert -low == high == pytest.approx(np.abs(image.get_array()).max())
    assert lengths[300] / lengths[2] == pytest.approx(16)


def test_titles_say_what_a_jacobian_is_and_few_values_are_written():
    net = mk.MLP([4, 16, 2], hidden=mk.ReLU(scale=3.0), output="softargmax")
    figure = plots.jacobians(net, sample(net))
    lines = [axis.get_title().split("\n") for axis in figure.axes[:5]]
    assert [line[1] for line in lines] == [
        "the product",
        "Jacobian of Softargmax",
        "W2'",
        "diag(ReLU'(s1, scale=3))",
        "W1'",
    ]
    diagonal = np.asarray(figure.axes[3].images[0].get_array())
    texts = [text.get_text() for text in figure.axes[3].texts]
    assert texts == ["3.00"] * np.count_nonzero(diagonal)
    assert len(figure.axes[4].texts) == 64
    assert [text.get_text() for text in figure.texts] == ["=", *"···"]


def test_zeros_are_written_where_entries_are_few():
    net = mk.MLP([2, 2, 1], output="sigmoid")
    (diagonal,) = [a for a in plots.jacobians(net, sample(net)).axes if "da1" in a.get_title()[:3]]
    assert [text.get_text() for text in diagonal.texts][1:3] == ["0", "0"]


def test_digits_of_values():
    net = mk.Linear(3, 1, bias=False)
    for values, texts in (
        ([0.09, -0.004, 0.0], ["0.090", "-0.004", "0"]),
        ([0.5, -0.004, 2.0], ["0.50", "-0.00", "2.00"]),
        ([12.34, -1234.5, 9.996], ["12.3", "-1234", "10.0"]),
    ):
        net.w[:, 0] = values
        drawn_texts = plots.jacobians(net, sample(net)).axes[2].texts
        assert [text.get_text() for text in drawn_texts] == texts


@pytest.mark.parametrize("sizes", [[4] * 2, [8] * 9, [1, 3000, 1], [784, 128, 10]], ids=str)
def test_no_matrix_and_no_title_covers_another(sizes):
    figure = plots.jacobians(net := mk.MLP(sizes), sample(net))
    figure.canvas.draw()
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    inside = figure.bbox
    for i, a in enumerate(boxes):
        assert inside.x0 <= a.x0 < a.x1 <= inside.x1
        assert inside.y0 <= a.y0 < a.y1 <= inside.y1
        assert not any(a.overlaps(b) for b in boxes[:i])


def test_what_is_not_a_number_does_not_set_the_colours():
    net = mk.Linear(2, 3)
    net.w[0, 0], net.w[1, 1] = np.nan, np.inf
    image = plots.jacobians(net, sample(net)).axes[2].images[0]
    finite = np.abs(net.w[np.isfinite(net.w)]).max()
    assert image.get_clim() == (-finite, finite)
    net.w[:] = 0
    assert plots.jacobians(net, sample(net)).axes[2].images[0].get_clim() == (-1, 1)


def test_jacobians_of_what_has_none():
    net = mk.MLP([3, 2])
    with pytest.raises(
        ValueError, match=r"jacobians: x must be one sample, \(D,\) or \(1, D\); got \(2, 3\)"
    ):
        plots.jacobians(net, np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="trace: net must be a chain of linear maps"):
        plots.jacobians(mk.Sum(net, net), np.ones(3, np.float32))


# --- soft maximum and soft argmax ---------------------------------------------------------------
def test_soft_maximum_and_soft_argmax_tend_to_their_limits():
    axes = plots.soft([(0.0, 1.0, 3.0), (3.0, -2.0, 3.0)]).axes
    assert [axis.get_title() for axis in axes[:2]] == ["e = (0, 1, 3)", "e = (3, -2, 3)"]
    assert all(axis.get_xscale() == "log" and axis.get_xlim() == (0.1, 100) for axis in axes)
    for axis, e in zip(axes[:2], ([0, 1, 3], [3, -2, 3]), strict=True):
        limit, curve = axis.get_lines()
        assert limit.get_linestyle() == "--"
        assert list(limit.get_ydata()) == [3, 3]
        beta, values = curve.get_data()
        exact = np.log(np.exp(np.multiply.outer(beta, e)).sum(axis=1)) / beta
        np.testing.assert_allclose(values, exact, rtol=1e-12)
        assert [text.get_text() for text in axis.texts] == ["max(e) = 3", r"softmax$_β$(e)"]
    for axis, ends in zip(axes[2:], ([0, 0, 1], [0.5, 0, 0.5]), strict=True):
        lines = axis.get_lines()
        dashed = [line.get_ydata()[0] for line in lines if line.get_linestyle() == "--"]
        assert sorted(dashed) == sorted(set(ends))
        curves = [line.get_ydata() for line in lines if line.get_linestyle() == "-"]
        np.testing.assert_allclose(np.sum(curves, axis=0), 1)
        np.testing.assert_allclose([curve[-1] for curve in curves], ends, atol=1e-12)


def test_labels_of_curves_that_end_together_are_apart():
    below = plots.soft([(0.0, 1.0, 3.0, 3.0)]).axes[1]
    labels = {text.get_text(): text.get_position()[1] for text in below.texts}
    assert list(labels) == ["$e_1$ = 0", "$e_2$ = 1", "$e_3$ = 3", "$e_4$ = 3"]
    heights = list(labels.values())
    assert min(np.diff(heights)) == pytest.approx(0.07)
    np.testing.assert_allclose([sum(heights[:2]), sum(heights[2:])], [0, 1], atol=1e-6)


@pytest.mark.parametrize("examples", [[], [()], [(1.0,) * 5], [1.0]], ids=str)
def test_soft_draws_vectors(examples):
    with pytest.raises(ValueError, match="soft: examples must be vectors of one to four numbers"):
        plots.soft(examples)


# --- losses and digits --------------------------------------------------------------------------
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
    net = mk.MLP([2, 2])
    for draw in (plots.soft, lambda: plots.jacobians(net, sample(net))):
        with pytest.raises(ImportError, match="pictures need matplotlib"):
            draw()


# --- the command --------------------------------------------------------------------------------
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


def test_plot_graph_with_arguments_and_a_cost(capsys, tmp_path):
    out = tmp_path / "g.svg"
    command = ["plot", "graph", "--sizes", "4-3-2", "--out", str(out)]
    options = ["--hidden", "relu(scale=3)", "--loss", "cross_entropy(label_smoothing=0.1)"]
    assert main([*command, *options]) == 0
    net, loss = mk.MLP([4, 3, 2], mk.ReLU(scale=3.0)), mk.CrossEntropy(label_smoothing=0.1)
    assert out.read_text() == graph(net, loss).svg


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        ("--hidden", "relu(scale=3", "must be a name, or as relu(scale=3), not 'relu(scale=3'"),
        ("--hidden", "relu(3)", "must be a name, or as relu(scale=3), not 'relu(3)'"),
        ("--hidden", "relu(scale=x)", "must be a name, or as relu(scale=3), not 'relu(scale=x)'"),
        ("--hidden", "relu(scale=3) + f(a=1)", "must be a name, or as relu(scale=3), not"),
        ("--hidden", "relu(slope=3)", "slope"),
        ("--hidden", "relu(scale='3')", "scale"),
        ("--hidden", "rely", "rely"),
        ("--loss", "mse", "must be one of SquaredError, MeanSquaredError, "),
        ("--loss", "huber(delta=-1)", "delta"),
    ],
)
def test_wrong_arguments_of_an_activation_or_a_cost(capsys, tmp_path, option, text, says):
    command = ["plot", "graph", "--sizes", "4-3-2", "--out", str(tmp_path / "g.svg")]
    assert main([*command, option, text]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_plot_jacobian(capsys, tmp_path):
    model, out = str(tmp_path / "model.npz"), tmp_path / "jacobian.png"
    command = ["plot", "jacobian", "--out", str(out)]
    assert main([*command, "--sizes", "4-16-2", "--output", "softargmax"]) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    first = out.read_bytes()
    assert first.startswith(b"\x89PNG")
    mk.save(model, mk.MLP([4, 16, 2], output="softargmax", seed=0))
    assert main([*command, "--model", model]) == 0
    assert out.read_bytes() == first
    assert main([*command, "--model", model, "--seed", "1"]) == 0
    assert out.read_bytes() != first


def test_plot_jacobian_of_what_has_none(capsys, tmp_path):
    model, command = str(tmp_path / "model.npz"), ["plot", "jacobian", "--out", "x.png"]
    mk.save(model, mk.Sum(mk.Linear(2, 2), mk.Tanh()))
    assert main([*command, "--model", model]) == 1
    assert "net must be a chain of linear maps" in capsys.readouterr().err
    mk.save(model, mk.Tanh())
    assert main([*command, "--model", model]) == 1
    assert "has no linear map: its number of inputs is not known" in capsys.readouterr().err
    assert main([*command, "--sizes", "4"]) == 2
    assert main(command) == 2


def test_plot_soft(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "soft"]) == 0
    assert capsys.readouterr().out == "wrote soft.png\n"
    assert (tmp_path / "soft.png").read_bytes().startswith(b"\x89PNG")


def test_plot_loss(capsys, tmp_path):
    model, out = str(tmp_path / "model.npz"), tmp_path / "loss.png"
    mk.save(model, mk.MLP([2, 2]), {"history": HISTORY})
    assert main(["plot", "loss", model, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    mk.save(model, mk.MLP([2, 2]))
    assert main(["plot", "loss", model, "--out", str(out)]) == 1
    assert "was not saved by mlpkern train: it holds no losses" in capsys.readouterr().err
