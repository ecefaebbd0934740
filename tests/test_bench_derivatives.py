"""The benchmark's group `derivative`: its oracles, its rows, its lines. No time is judged here."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from mlpkern.cli.bench import derivative_oracles as oracles
from mlpkern.cli.bench import derivative_rows, peers, picture, report, workers
from mlpkern.cli.bench.cases import Case, cases
from mlpkern.cli.bench.peers import Prepared, fastest
from mlpkern.cli.bench.problems import LR, expected, problem
from mlpkern.cli.bench.worker import Worker

OUTPUTS = ["identity", "softargmax"]


# --- the oracles, against differences ------------------------------------------------------------


@pytest.fixture
def layers(rng):
    sizes = (3, 5, 4, 2)
    return [
        (rng.standard_normal((d, n)), rng.standard_normal(n)) for d, n in itertools.pairwise(sizes)
    ]


def difference(f, x, v, h=1e-5):
    """The derivative of f along v; its error is h^2 times a third derivative, and rounding by h."""
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


def moved(layers, p):
    """The layers with these parameters, in mlpkern's order."""
    new, start = [], 0
    for w, b in layers:
        middle, end = start + w.size, start + w.size + b.size
        new.append((p[start:middle].reshape(w.shape), p[middle:end]))
        start = end
    return new


def flat(layers):
    return np.concatenate([a.ravel() for layer in layers for a in layer])


@pytest.mark.parametrize("output", OUTPUTS)
def test_derivatives_by_the_inputs(layers, rng, output):
    x = rng.standard_normal((7, 3))
    u = oracles.network(layers, output, x)[0]
    for i, e in enumerate(np.eye(3)):
        first = difference(lambda x: oracles.network(layers, output, x)[0].a, x, e)
        second = difference(lambda x, i=i: oracles.network(layers, output, x)[0].a_i[:, i], x, e)
        np.testing.assert_allclose(u.a_i[:, i], first, atol=1e-8)
        np.testing.assert_allclose(u.a_ii[:, i], second, atol=1e-8)


def cost(layers, output, x, y):
    s = oracles.network(layers, "identity", x)[0].a
    if output == "identity":
        return np.sum((s - y) ** 2, axis=1)
    return np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(s)), y]


@pytest.mark.parametrize("output", OUTPUTS)
def test_derivatives_by_the_parameters(layers, rng, output):
    x, p = rng.standard_normal((7, 3)), flat(layers)
    y = rng.standard_normal((7, 2)) if output == "identity" else rng.integers(0, 2, 7)
    v = rng.standard_normal(p.size)
    each = oracles.sample_gradients(layers, output, x, y)
    along = difference(lambda p: cost(moved(layers, p), output, x, y), p, v)
    np.testing.assert_allclose(each @ v, along, atol=1e-6)
    mean = oracles.gradient(layers, output, x, y)
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-13)
    product = difference(lambda p: oracles.gradient(moved(layers, p), output, x, y), p, v)
    np.testing.assert_allclose(oracles.hvp(layers, output, x, y, v), product, atol=1e-6)


def test_the_gradient_of_a_cost_of_second_derivatives(layers, rng):
    x, p = rng.standard_normal((7, 3)), flat(layers)
    v = rng.standard_normal(p.size)

    def value(p):
        u = oracles.network(moved(layers, p), "identity", x)[0]
        return np.sum(oracles.residual(*u) ** 2) / len(x)

    along = difference(value, p, v)
    np.testing.assert_allclose(oracles.training_gradient(layers, x) @ v, along, rtol=1e-7)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000, 1024])
def test_some_of_the_rows_are_32_at_most_from_end_to_end(n):
    chosen = oracles.some(np.arange(n))
    assert min(n, 16) <= len(chosen) <= 32
    assert chosen[0] == 0
    assert chosen[-1] >= n - 1 - n // 16


# --- the libraries -------------------------------------------------------------------------------


def some_cases():
    for what in derivative_rows.KINDS:
        for net in ((4, 8, 8, 2), (2, *[20] * 8, 1), (17, 9, 3), (784, 8, 10)):
            dtype = "float64" if net[0] == 2 else "float32"
            for n in (1, 33):
                if what != "training step" or net[0] <= 4:
                    yield Case("derivative", what, net, n, dtype)


@pytest.mark.parametrize(
    "name",
    [
        "mlpkern",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("torch", "jax")),
    ],
)
def test_every_library_is_right(name):
    if name in peers.LIBRARIES and not peers.installed(name):
        pytest.skip(f"{name} is not installed")
    process = workers.Worker(name, 1)
    try:
        process.answer()
        for case in some_cases():
            assert process.ask("prepare", case, expected(problem(case))) > 0
            units = process.ask("units", 1e-4) if name == "mlpkern" else None
            assert (units is not None) == (name == "mlpkern" and case.what in derivative_rows.UNITS)
    finally:
        process.close()


@pytest.mark.parametrize("name", ["numpy", "sklearn", "onnxruntime"])
def test_libraries_without_derivatives_have_blanks(name):
    if not peers.installed(name):
        pytest.skip(f"{name} is not installed")
    process = workers.Worker(name, 1)
    try:
        process.answer()
        case = Case("derivative", "jvp", (4, 8, 2), 3)
        assert process.ask("prepare", case, expected(problem(case))) is None
        assert process.ask("memory", Case("memory", "jacobian", (4, 8, 2), 3)) is None
    finally:
        process.close()


def test_a_wrong_derivative_is_found():
    case = Case("derivative", "training step", (4, 8, 2), 3)
    (right,) = expected(problem(case))
    worker = Worker(SimpleNamespace(derivative=lambda data: Prepared(lambda: -right)))
    with pytest.raises(ValueError, match=r"wrong result: off by 2\.0"):
        worker.prepare(case, [right])


def test_the_step_is_the_gradients():
    case = Case("derivative", "training step", (4, 8, 2), 3, "float64")
    data = problem(case)
    np.testing.assert_array_equal(
        expected(data)[0], -LR * oracles.training_gradient(data.layers, data.x)
    )


def test_the_fastest_of_several():
    def slow():
        time.sleep(5e-3)

    def fast():
        pass

    assert fastest([slow, fast, slow], seconds=1e-3) is fast
    assert fastest([slow]) is slow


def test_units_are_paired_times():
    worker = Worker(SimpleNamespace())
    worker.prepared = Prepared(lambda: time.sleep(4e-3), unit=lambda: time.sleep(1e-3))
    assert worker.units(1e-4) > 0
    worker.prepared = Prepared(lambda: None)
    assert worker.units(1e-4) is None


def test_the_memory_of_a_jacobian_is_beyond_its_output():
    process = workers.Worker("mlpkern", 1)
    try:
        process.answer()
        small = process.ask("memory", Case("memory", "jacobian", (4, 8, 2), 100_000))
    finally:
        process.close()
    assert 0 <= small < 64e6


# --- rows and lines ------------------------------------------------------------------------------


def test_rows_that_are_left_out():
    rows = set(derivative_rows.rows(None, None, quick=False))
    for what in derivative_rows.KINDS:
        missing = {
            (net, n)
            for net in derivative_rows.SIZES
            for n in derivative_rows.BATCHES
            if (what, net, n) not in rows
        }
        if what == "laplacian":
            assert missing == {((784, 128, 10), 1024)}
        elif what == "training step":
            assert {net[0] for net, _ in missing} == {17, 784}
        else:
            assert not missing
    chosen = [c for c in cases([(4, 8, 2)], [3], quick=True) if c.group == "derivative"]
    assert [(c.what, c.sizes, c.rows) for c in chosen] == [
        (what, (4, 8, 2), 3) for what in derivative_rows.KINDS
    ]
    assert chosen[0].hidden == Case("derivative", "hvp", (784, 8, 10), 3).hidden == "tanh"


def a_row(what, ratio, **more):
    case = Case("derivative", what, (4, 16, 2), 32)
    return {
        "group": case.group,
        "what": what,
        "name": case.name,
        "sizes": [4, 16, 2],
        "batch": 32,
        "dtype": "float32",
        "threads": 1,
        "best": "jax",
        "times": {name: {"median": 1e-3} for name in ("mlpkern", "jax")},
        "ratio": {"q1": 0.9 * ratio, "median": ratio, "q3": 1.1 * ratio},
        "errors": {},
        **more,
    }


def test_the_summary_goes_by_kind():
    rows = [a_row("hvp", 2.0, units=2.5), a_row("hvp", 8.0, units=3.5), a_row("jvp", 0.5)]
    parts = {p["part"]: p for p in report.summary(rows)}
    assert {part: p["rows"] for part, p in parts.items()} == {"": 3, "hvp": 2, "jvp": 1}
    assert parts["hvp"]["mean"] == pytest.approx(4)
    text = report.summary_text(list(parts.values()))
    assert "derivative hvp " in text
    assert max(map(len, text.splitlines())) <= 100


def test_units_are_told():
    row = a_row("hvp", 2.0, units=2.5)
    assert "  = 2.50 gradients; 3 are asked for" in report.line(row, {}).splitlines()
    rows = [row, a_row("laplacian", 2.0, units=1.25), a_row("jvp", 2.0)]
    assert report.units_text(rows) == (
        "\nhvp: 2.50 gradients in the median row, 2.50 in 4-16-2, 32; 3 are asked for"
        "\nlaplacian: 1.25 forwards an input in the median row, 1.25 in 4-16-2, 32; "
        "3 are asked for"
    )
    assert report.units_text(rows[2:]) == ""
    assert derivative_rows.LEFT_OUT in report.header("derivative", 1)
    assert derivative_rows.LEFT_OUT not in report.header("step", 1)


def test_every_kind_has_its_map():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    rows = [a_row(what, 2.0) for what in derivative_rows.KINDS]
    titles = [axes.get_title() for axes in picture.draw({"rows": rows}, "").axes]
    assert titles == [f"{what}, 1 thread" for what in derivative_rows.KINDS]
