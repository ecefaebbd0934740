"""gradcheck and `mlpkern gradcheck`: right gradients pass, wrong ones do not."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from mlpkern.cli import main

# The function of the same name stands in the package in its place.
module = importlib.import_module("mlpkern.gradcheck")
gradcheck = module.gradcheck
LOSSES = {
    **{name: {} for name in mk.LOSSES},
    "PoissonNLL-rate": {"log_input": False},
    "BinaryCrossEntropy-logits": {"from_logits": True},
    "CrossEntropy-logits": {"from_logits": True, "label_smoothing": 0.1},
}
OUTPUT = {"BinaryCrossEntropy": "sigmoid", "CrossEntropy": "softargmax", "PoissonNLL-rate": "exp"}
SMALL = ([3, 5, 2], "tanh")


def make_loss(name: str, reduction: str = "mean") -> Any:
    return mk.LOSSES[name.split("-")[0]](**LOSSES[name], reduction=reduction)


def batch(name: str = "SquaredError", n: int = 6, dtype: Any = np.float64) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    y = rng.uniform(0.1, 0.9, (n, 2))
    x = rng.normal(size=(n, 3)).astype(dtype)
    if name.startswith("CrossEntropy"):
        return x, rng.integers(0, 2, n)
    return x, y.astype(dtype)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], None]], None]:
    """Makes mk.value_and_gradient, as gradcheck sees it, spoil its gradient in some way."""

    def spoil(how: Callable[[Any], None]) -> None:
        def value_and_gradient(*args: Any) -> Any:
            cost, gradient = mk.value_and_gradient(*args)
            how(gradient)
            return cost, gradient

        monkeypatch.setattr(module, "value_and_gradient", value_and_gradient)

    return spoil


# --- what is right -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_loss(name: str, reduction: str, dtype: type) -> None:
    net = mk.MLP(*SMALL, OUTPUT.get(name, "identity"), dtype=dtype, seed=1)
    x, y = batch(name, dtype=dtype)
    result = gradcheck(net, make_loss(name, reduction), x, y, np.array([0, 1, 2, 0, 1, 0.5]))
    assert result.ok, str(result)
    assert bool(result)
    assert [row.name for row in result.rows] == ["W1", "b1", "W2", "b2"]
    assert [row.shape for row in result.rows] == [(3, 5), (5,), (5, 2), (2,)]
    assert [row.entries for row in result.rows] == [15, 5, 10, 2]


@pytest.mark.parametrize("f", [cls() for cls in mk.ACTIVATIONS.values()], ids=repr)
def test_every_activation(f: Any) -> None:
    x, y = batch(n=20)
    result = gradcheck(mk.MLP([3, 9, 2], f, "identity", seed=1), mk.SquaredError(), x, y)
    assert result, str(result)


def test_a_kink_within_the_step() -> None:
    """s = 1e-5 is next to ReLU's kink for a step of 7e-4; with a smaller one it is not."""
    net = mk.MLP([1, 1], "relu", "relu", dtype=np.float64)
    net.parameters[...] = 1.0, 1e-5 - 1.0
    x, y = np.ones((1, 1)), np.full((1, 1), -1.0)
    assert gradcheck(net, mk.SquaredError(), x, y)
    net.parameters[1] = -1.0  # on the kink: 0 is right, and half the slope is what is measured
    assert not gradcheck(net, mk.SquaredError(), x, y)


def test_a_shared_layer_no_bias_and_another_owner() -> None:
    f = mk.Linear(3, 3, dtype=np.float32, seed=1)
    mk.Chain(f, mk.Tanh())
    owner = mk.MLP([3, 3], dtype=np.float32)
    net = mk.Chain(f, mk.Sum(owner, mk.Tanh()), f, mk.Linear(3, 2, bias=False, seed=2))
    result = gradcheck(net, mk.SquaredError(), *batch())
    assert result, str(result)
    assert [row.name for row in result.rows] == ["W1", "b1", "W2", "b2", "W3"]


def test_the_optimum_has_no_gradient() -> None:
    """Where the cost is zero, so is the gradient, and rounding does not make it wrong."""
    net = mk.Linear(3, 2, dtype=np.float64, seed=1)
    x, _ = batch()
    assert gradcheck(net, mk.SquaredError(), x, net.predict(x))


def test_inputs_are_not_changed(dtype: type) -> None:
    net = mk.MLP(*SMALL, dtype=dtype)
    x, y = batch(dtype=dtype)
    weight = np.arange(6.0)
    net.gradients[...] = 5
    arrays = [net.parameters, net.gradients, x, y, weight]
    kept = [a.copy() for a in arrays]
    for a in (x, y, weight):
        a.flags.writeable = False
    gradcheck(net, mk.SquaredError(), x, y, weight)
    for a, before in zip(arrays, kept, strict=True):
        assert_same_bits(a, before)


def test_a_sample_of_a_large_array() -> None:
    x, y = batch()
    net = mk.MLP([3, 50, 2], dtype=np.float64)
    result = gradcheck(net, mk.SquaredError(), x, y, entries=30)
    assert [row.entries for row in result.rows] == [30, 30, 30, 2]
    assert "92 of 302 parameters compared" in str(result)
    again = gradcheck(net, mk.SquaredError(), x, y, entries=30)
    assert again == result
    assert gradcheck(net, mk.SquaredError(), x, y, entries=30, seed=1) != result


# --- what is wrong -------------------------------------------------------------------------------
def one_entry(gradient: Any) -> None:
    gradient[16] += 3e-6 * np.abs(gradient).max()


def doubled(gradient: Any) -> None:
    gradient *= 2


def transposed(gradient: Any) -> None:
    gradient[:15] = gradient[:15].reshape(5, 3).T.ravel().copy()


def forgotten(gradient: Any) -> None:
    gradient[15:20] = 0


def no_number(gradient: Any) -> None:
    gradient[20] = np.nan


@pytest.mark.parametrize(
    ("how", "names"),
    [
        (one_entry, ["b1"]),
        (doubled, ["W1", "b1", "W2", "b2"]),
        (transposed, ["W1"]),
        (forgotten, ["b1"]),
        (no_number, ["W2"]),
    ],
)
def test_a_wrong_gradient_is_found(wrong: Any, how: Any, names: list[str]) -> None:
    wrong(how)
    net = mk.MLP(*SMALL, dtype=np.float64, seed=1)
    result = gradcheck(net, mk.SquaredError(), *batch())
    assert not result.ok
    assert not result
    assert [row.name for row in result.rows if not row.ok] == names
    assert f"wrong: {', '.join(names)}" in str(result)


def test_the_worst_entry_is_named(wrong: Any) -> None:
    wrong(one_entry)
    net = mk.MLP(*SMALL, dtype=np.float64, seed=1)
    x, y = batch()
    _, gradient = mk.value_and_gradient(net, mk.SquaredError(), x, y)
    row = gradcheck(net, mk.SquaredError(), x, y).rows[1]
    assert row.index == (1,)
    off = 3e-6 * np.abs(gradient).max()
    np.testing.assert_allclose(row.analytic, gradient[16] + off, rtol=1e-12)
    np.testing.assert_allclose(row.numeric, gradient[16], rtol=1e-9)
    np.testing.assert_allclose(row.absolute, off, rtol=1e-3)
    np.testing.assert_allclose(row.relative, off / max(row.analytic, row.numeric, key=abs), 1e-3)
    assert gradcheck(net, mk.SquaredError(), x, y, tolerance=1e-2)


def test_another_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(net: Any, loss: Any, *rest: Any) -> Any:
        return mk.value_and_gradient(net, mk.MeanSquaredError(), *rest)

    monkeypatch.setattr(module, "value_and_gradient", other)
    assert not gradcheck(mk.MLP(*SMALL), mk.SquaredError(), *batch())


def test_the_table_fits_80_columns(wrong: Any) -> None:
    wrong(no_number)
    net = mk.MLP([3, 1000, 2], dtype=np.float64)
    net.parameters[...] *= -1e3
    lines = str(gradcheck(net, mk.SquaredError(), *batch(), entries=21)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines[1:6]}) == 1
    assert lines[2].startswith("W1   (3, 1000)")
    assert lines[1].split() == [
        "shape", "worst", "analytic", "numeric", "error", "relative", "ok"
    ]  # fmt: skip


NET = mk.MLP(*SMALL)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "text"),
    [
        (("net", mk.SquaredError()), {}, TypeError, "gradcheck: net must be a network; got str"),
        ((NET, "loss"), {}, TypeError, "gradcheck: loss must be a Loss; got str"),
        (
            (mk.Tanh(), mk.SquaredError()),
            {},
            ValueError,
            r"gradcheck: net must have parameters; got Tanh\(\)",
        ),
        (
            (NET, mk.SquaredError()),
            {"method": "complex"},
            ValueError,
            "gradcheck: method must be \"central\"; got 'complex'",
        ),
        (
            (NET, mk.SquaredError()),
            {"step": 0.0},
            ValueError,
            "gradcheck: step must be finite and at least 1e-06; got 0.0",
        ),
        (
            (NET, mk.SquaredError()),
            {"tolerance": "x"},
            TypeError,
            "gradcheck: tolerance must be a number; got str",
        ),
        (
            (NET, mk.SquaredError()),
            {"entries": 0},
            ValueError,
            "gradcheck: entries must be at least 1; got 0",
        ),
    ],
)
def test_wrong_arguments(arguments: Any, options: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{text}$"):
        gradcheck(*arguments, *batch(), **options)


def test_what_the_network_refuses() -> None:
    x, y = batch()
    with pytest.raises(ValueError, match="with D = 3"):
        gradcheck(NET, mk.SquaredError(), x[:, :2], y)
    with pytest.raises(TypeError, match="int64"):
        gradcheck(NET, mk.SquaredError(), np.ones((6, 3), int), y)


# --- the command ---------------------------------------------------------------------------------
def test_help_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["gradcheck", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: mlpkern gradcheck")
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        "--hidden tanh --output identity --loss squared_error",
        "--hidden relu --output sigmoid --loss binary_cross_entropy --batch 3",
        "--hidden gelu --loss cross_entropy --seed 4",
        "--output softargmax --loss cross_entropy",
        "--loss poisson_nll",
        "--loss huber",
    ],
)
def test_the_command(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    assert main(["gradcheck", "--sizes", "4-16-2", *arguments.split()]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "all gradients are right"
    assert "114 of 114 parameters compared" in captured.out
    assert captured.err == ""


def test_the_command_with_a_saved_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    path = tmp_path / "net.npz"
    mk.save(path, mk.Chain(mk.Linear(3, 4), mk.Chain(mk.Linear(4, 2), mk.Sigmoid())))
    arguments = ["--model", str(path), "--loss", "binary_cross_entropy", "--json"]
    assert main(["gradcheck", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is True
    assert facts["loss"] == "BinaryCrossEntropy(from_logits=False, reduction='mean')"
    assert [row["name"] for row in facts["rows"]] == ["W1", "b1", "W2", "b2"]
    assert facts["rows"][0]["shape"] == [3, 4]
    assert all(row["ok"] for row in facts["rows"])


def test_the_command_fails_on_a_wrong_gradient(
    capsys: pytest.CaptureFixture[str], wrong: Any
) -> None:
    wrong(no_number)
    assert main(["gradcheck", "--sizes", "3-5-2"]) == 1
    captured = capsys.readouterr()
    assert "wrong: W2" in captured.out
    assert captured.err == "mlpkern gradcheck: error: the gradient is not that of the cost in W2\n"
    assert main(["gradcheck", "--sizes", "3-5-2", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out, parse_constant=lambda c: pytest.fail(c))
    assert facts["ok"] is False
    assert facts["rows"][2]["analytic"] is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "one of the arguments --model --sizes is required"),
        ("--sizes 4", "--sizes needs two widths or more, as 4-16-2, not 4"),
        ("--sizes 4-2 --loss none", "invalid choice: 'none'"),
        ("--sizes 4-2 --tolerance 0", "must be a number above 0, not '0'"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: str, text: str) -> None:
    assert main(["gradcheck", *arguments.split()]) == 2
    assert text in capsys.readouterr().err.splitlines()[-1]
