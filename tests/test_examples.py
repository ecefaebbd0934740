"""The examples of docs/examples: short runs, and that their equations are those of their texts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mlpkern as mk

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "examples"


@pytest.fixture(scope="module")
def collocation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("collocation", FOLDER / "collocation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["collocation"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["poisson", "burgers"])
def problem(request, collocation):
    return collocation.PROBLEMS[request.param]()


def jet_of(collocation, f, p, radius=3e-3, count=64):
    """The derivatives of f, which is analytic, by each input: Cauchy's integral around each point.

    f'' is right to a few rounding errors of f by radius^2.
    """
    circle = np.exp(2j * np.pi * np.arange(count) / count)
    first, second = np.empty(p.shape), np.empty(p.shape)
    for i, e in enumerate(np.eye(2)):
        values = np.array([f(p + radius * z * e) for z in circle])
        first[:, i] = (values / circle[:, None]).mean(axis=0).real / radius
        second[:, i] = (values / circle[:, None] ** 2).mean(axis=0).real * 2 / radius**2
    return collocation.Jet(f(p), first, second)


def test_the_exact_solution_has_no_residual(collocation, problem, rng):
    p = problem.draw(rng, 300)
    p = p[(p[:, 0] > 0.2) & (p[:, 0] < 0.98)]  # Burgers' formula has a branch point at t = 0
    r, _ = problem.residual(p, jet_of(collocation, problem.exact, p))
    size = max(np.abs(problem.residual(p, _zero_jet(collocation, p))[0]).max(), 1.0)
    assert np.abs(r).max() < 1e-9 * size  # 1e-16 by the square of the radius, times ten


def _zero_jet(collocation, p):
    return collocation.Jet(np.zeros(len(p)), np.zeros(p.shape), np.zeros(p.shape))


def test_a_wrong_solution_has_one(collocation, problem, rng):
    p = problem.draw(rng, 300)
    p = p[(p[:, 0] > 0.2) & (p[:, 0] < 0.98)]
    r, _ = problem.residual(p, jet_of(collocation, lambda p: 1.01 * problem.exact(p), p))
    assert np.abs(r).max() > 1e-3


def test_every_network_meets_the_conditions(collocation, problem):
    net = mk.MLP([2, 5, 1], dtype=np.float64, seed=3)
    t = np.linspace(0, 1, 11)
    zero, one = np.zeros_like(t), np.ones_like(t)
    if isinstance(problem, collocation.Poisson):
        edges = [(zero, t), (one, t), (t, zero), (t, one)]
    else:
        edges = [(zero, 2 * t - 1), (t, one), (t, -one)]
    for edge in edges:
        p = np.stack(edge, axis=1)
        np.testing.assert_allclose(
            collocation.solution(problem, net, p), problem.exact(p), atol=1e-15
        )


def test_the_frame_and_its_derivatives(collocation, problem, rng):
    p = problem.draw(rng, 20)
    for k in (0, 1):
        given = problem.frame(p)[k]
        right = jet_of(collocation, lambda p, k=k: _complex_frame(collocation, problem, p)[k], p)
        for a, b in zip(given, right, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


def _complex_frame(collocation, problem, p):
    """a and b from the texts."""
    if isinstance(problem, collocation.Poisson):
        return np.zeros_like(p[:, 0]), np.prod(p * (1 - p), axis=1)
    return -np.sin(np.pi * p[:, 1]), p[:, 0] * (1 - p[:, 1] ** 2)


def test_the_gradient_is_the_costs(collocation, problem, rng, monkeypatch):
    monkeypatch.setattr(problem, "weight", lambda u: np.full_like(u.u, 0.5))
    net = mk.MLP([2, 6, 5, 1], dtype=np.float64, seed=1)
    p, v, h = problem.draw(rng, 30), rng.standard_normal(net.parameters.size), 1e-5
    start = net.parameters.copy()

    def cost(parameters):
        net.parameters[:] = parameters
        net.zero_grad()
        return collocation.cost_and_gradient(problem, net, p)

    slope = (cost(start + h * v) - cost(start - h * v)) / (2 * h)
    cost(start)
    assert net.gradients @ v == pytest.approx(slope, rel=1e-6)


def test_the_cost_falls(collocation, problem):
    net = mk.MLP([2, 16, 16, 1], dtype=np.float64)
    before = collocation.relative_error(problem, net)
    costs = collocation.train(problem, net, steps=300, points=100, seed=0)
    assert len(costs) == 300
    assert np.mean(costs[-30:]) < 0.75 * np.mean(costs[:30])
    assert collocation.relative_error(problem, net) < 0.75 * before


def test_the_command(collocation, capsys):
    assert collocation.main(["poisson", "--steps", "3", "--points", "10"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("poisson: 3 steps of 10 points, cost ")
    assert captured.err == "error: the relative error is above 0.001\n"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("laplace", "invalid choice: 'laplace'"),
        ("poisson --steps 0", "must be a whole number of 1 or more, not '0'"),
        ("burgers --out b.png", "--out needs matplotlib: pip install 'mlpkern[demo]'"),
    ],
)
def test_wrong_usage(collocation, capsys, monkeypatch, command, text):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        collocation.main(command.split())
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_the_picture(collocation, capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    out = tmp_path / "burgers.png"
    command = ["burgers", "--steps", "2", "--points", "10", "--seed", "1", "--out", str(out)]
    assert collocation.main(command) == 0
    assert capsys.readouterr().out.endswith(f"wrote {out}\n")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size < 150_000
