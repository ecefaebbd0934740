"""Solve a differential equation with a network: collocation, or physics-informed training.

    python docs/examples/collocation.py poisson --out poisson.png
    python docs/examples/collocation.py burgers --out burgers.png

poisson   -u_xx - u_yy = f on the unit square, u = 0 on its boundary; exact: sin(pi x) sin(pi y)
burgers   u_t + u u_x = (0.01/pi) u_xx for x in [-1, 1] and t in [0, 1], u(0, x) = -sin(pi x),
          u(t, -1) = u(t, 1) = 0; exact: the formula of Cole and Hopf

The solution is u = a + b N, with a network N of two inputs, and a and b such that every N meets
the boundary's conditions. A step draws points at random, takes N and its derivatives there from
`mk.derivatives`, and moves N's parameters against the gradient of the mean of the residual's
squares. Needs mlpkern; and matplotlib for --out. docs/collocation.md explains it.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk

Array = NDArray[np.float64]
INPUTS = np.eye(2)  # the directions of the derivatives


class Jet(NamedTuple):
    """A function at n points: its value (n,), and by each input its derivative and its second
    derivative, (n, 2). A cost's gradient by a jet has the same shapes."""

    u: Array
    u_x: Array
    u_xx: Array


class Poisson:
    """The inputs are x and y."""

    sizes = (2, 32, 32, 1)
    steps, points, lr = 3000, 256, 5e-3
    names, low, high = ("x", "y"), (0.0, 0.0), (1.0, 1.0)
    tolerance = 1e-3

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Return points, (n, 2)."""
        return rng.random((n, 2))

    def frame(self, p: Array) -> tuple[Jet, Jet]:
        """Return a = 0 and b = x (1 - x) y (1 - y)."""
        q, slope = p * (1 - p), 1 - 2 * p
        others = q[:, ::-1]  # each input's is that of the other one
        b = Jet(q[:, 0] * q[:, 1], slope * others, -2 * others)
        return Jet(0 * b.u, 0 * p, 0 * p), b

    def residual(self, p: Array, u: Jet) -> tuple[Array, Jet]:
        """Return the residual, and its derivatives by u."""
        r = -u.u_xx.sum(axis=1) - 2 * np.pi**2 * self.exact(p)
        return r, Jet(np.zeros_like(u.u), np.zeros_like(u.u_x), np.full_like(u.u_xx, -1.0))

    def weight(self, u: Jet) -> Array:
        """Return what each point's residual is multiplied by."""
        return np.ones_like(u.u)

    def exact(self, p: Any) -> Any:
        """Return the solution at points, (n,)."""
        return np.sin(np.pi * p[:, 0]) * np.sin(np.pi * p[:, 1])


class Burgers:
    """The inputs are t and x. From t = 0.3 on there is a front at x = 0, a hundredth wide."""

    sizes = (2, 20, 20, 20, 20, 1)
    steps, points, lr = 20000, 500, 5e-3
    names, low, high = ("t", "x"), (0.0, -1.0), (1.0, 1.0)
    viscosity = 0.01 / np.pi
    tolerance = None

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Return points, (n, 2), half of them near the front."""
        t, x = rng.random(n), rng.uniform(-1, 1, n)
        x[: n // 2] = np.clip(rng.normal(0, 0.2, n // 2), -1, 1)
        return _columns(t, x)

    def frame(self, p: Array) -> tuple[Jet, Jet]:
        """Return a = -sin(pi x) and b = t (1 - x^2)."""
        t, x = p.T
        sine, cosine, q = np.sin(np.pi * x), np.cos(np.pi * x), 1 - x * x
        a = Jet(-sine, _columns(0 * t, -np.pi * cosine), _columns(0 * t, np.pi**2 * sine))
        return a, Jet(t * q, _columns(q, -2 * t * x), _columns(0 * t, -2 * t))

    def residual(self, p: Array, u: Jet) -> tuple[Array, Jet]:
        """Return the residual, and its derivatives by u."""
        u_t, u_x = u.u_x.T
        r = u_t + u.u * u_x - self.viscosity * u.u_xx[:, 1]
        one = np.ones_like(r)
        return r, Jet(u_x, _columns(one, u.u), _columns(0 * one, -self.viscosity * one))

    def weight(self, u: Jet) -> Array:
        """Return less for a steep point, or else the front's residuals are all that counts."""
        return 1 / (1 + 0.2 * np.abs(u.u_x[:, 1]))

    def exact(self, p: Any) -> Any:
        """Return the solution at points, (n,): with h(y) = exp(-cos(pi y)/(2 pi viscosity)),

        u = -I(sin(pi y) h)/I(h), where I integrates over y with a normal density around x of
        variance 2 viscosity t: by Gauss and Hermite's rule.
        """
        z, w = np.polynomial.hermite.hermgauss(100)
        y = np.pi * (p[:, 1:] - z * np.sqrt(4 * self.viscosity * p[:, :1]))
        h = w * np.exp(-np.cos(y) / (2 * np.pi * self.viscosity))
        return -(np.sin(y) * h).sum(axis=1) / h.sum(axis=1)


def _columns(first: Array, second: Array) -> Array:
    return np.stack([first, second], axis=1)


def framed(a: Jet, b: Jet, N: Jet) -> Jet:
    """Return a + b N, by the rule of the product."""
    value, b_u = N.u[:, None], b.u[:, None]
    return Jet(
        a.u + b.u * N.u,
        a.u_x + b.u_x * value + b_u * N.u_x,
        a.u_xx + b.u_xx * value + 2 * b.u_x * N.u_x + b_u * N.u_xx,
    )


def framed_backward(b: Jet, du: Jet) -> Jet:
    """Return the gradient by N of a cost whose gradient by a + b N is du."""
    b_u = b.u[:, None]
    return Jet(
        b.u * du.u + np.sum(b.u_x * du.u_x + b.u_xx * du.u_xx, axis=1),
        b_u * du.u_x + 2 * b.u_x * du.u_xx,
        b_u * du.u_xx,
    )


def cost_and_gradient(problem: Any, net: mk.MLP, p: Array) -> float:
    """Return the mean of the squares of the weighted residuals; add its gradient to the net's."""
    d: Any = mk.derivatives(net, p, directions=INPUTS)
    a, b = problem.frame(p)
    u = framed(a, b, Jet(d.u[:, 0], d.u_x[:, 0], d.u_xx[:, 0]))
    r, r_u = problem.residual(p, u)
    weight = problem.weight(u)  # taken as given: it has no gradient
    dr = 2 * weight**2 * r / len(p)
    du = Jet(dr * r_u.u, dr[:, None] * r_u.u_x, dr[:, None] * r_u.u_xx)
    dN = framed_backward(b, du)
    d.backward(du=dN.u[:, None], du_x=dN.u_x[:, None], du_xx=dN.u_xx[:, None])
    return float(np.mean((weight * r) ** 2))


def train(problem: Any, net: mk.MLP, steps: int, points: int, seed: int) -> list[float]:
    """Take Adam's steps with a learning rate that falls to zero; return the costs."""
    rng = np.random.default_rng(seed)
    optimizer = mk.Adam(net, lr=problem.lr)
    costs = []
    for i in range(steps):
        optimizer.lr = 0.5 * problem.lr * (1 + np.cos(np.pi * i / steps))
        net.zero_grad()
        costs.append(cost_and_gradient(problem, net, problem.draw(rng, points)))
        optimizer.step()
        if (i + 1) % 100 == 0 and sys.stderr.isatty():
            print(f"{i + 1} of {steps} steps, cost {costs[-1]:.2e}", end="\r", file=sys.stderr)
    return costs


def solution(problem: Any, net: mk.MLP, p: Array) -> Array:
    """Return u at points, (n,)."""
    a, b = problem.frame(p)
    return np.asarray(a.u + b.u * net.predict(p)[:, 0])


def ticks(problem: Any, n: int) -> list[Array]:
    """Return n values of each input, from end to end."""
    return [np.linspace(*ends, n) for ends in zip(problem.low, problem.high, strict=True)]


def grid(problem: Any, n: int = 201) -> Array:
    """Return n x n points, row by row of the first input."""
    return np.stack([a.ravel() for a in np.meshgrid(*ticks(problem, n), indexing="ij")], axis=1)


def relative_error(problem: Any, net: mk.MLP) -> float:
    """Return the 2-norm of the error on a grid, by that of the solution."""
    p = grid(problem)
    exact = problem.exact(p)
    return float(np.linalg.norm(solution(problem, net, p) - exact) / np.linalg.norm(exact))


def draw(problem: Any, net: mk.MLP, path: str) -> None:
    """Draw the network's solution, the exact one, and the error, side by side."""
    from matplotlib.figure import Figure

    n = 201
    p = grid(problem, n)
    found, exact = (a.reshape(n, n) for a in (solution(problem, net, p), problem.exact(p)))
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    top, worst = np.abs(exact).max(), np.abs(found - exact).max()
    panels = (("network", found, top), ("exact", exact, top), ("error", found - exact, worst))
    for axes, (title, values, most) in zip(figure.subplots(1, 3), panels, strict=True):
        levels = np.linspace(-most, most, 32)
        image = axes.contourf(*ticks(problem, n), values.T, levels, cmap="RdBu_r", extend="both")
        figure.colorbar(image, ax=axes, ticks=np.linspace(-most, most, 5), format="{x:.2g}")
        axes.set(title=title, xlabel=problem.names[0], ylabel=problem.names[1])
    figure.savefig(path, dpi=100)


PROBLEMS: dict[str, Any] = {"poisson": Poisson, "burgers": Burgers}


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, print the error and the time, draw; return 1 where the error is above the bound."""
    parser = argparse.ArgumentParser(description="Solve a differential equation with a network.")
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--out", metavar="FILE.png", help="draw network, exact solution and error")
    parser.add_argument("--steps", type=_positive, metavar="N", help="steps of Adam")
    parser.add_argument("--points", type=_positive, metavar="N", help="points in a step")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and the points")
    args = parser.parse_args(argv)
    if args.out and importlib.util.find_spec("matplotlib") is None:
        parser.error("--out needs matplotlib: pip install 'mlpkern[demo]'")
    problem = PROBLEMS[args.problem]()
    net = mk.MLP(list(problem.sizes), hidden="tanh", dtype=np.float64, seed=args.seed)
    start = time.perf_counter()
    steps, points = args.steps or problem.steps, args.points or problem.points
    costs = train(problem, net, steps, points, args.seed)
    seconds = time.perf_counter() - start
    error = relative_error(problem, net)
    print(f"{args.problem}: {steps} steps of {points} points, cost {costs[-1]:.2e}")
    print(f"relative error {error:.2e} (2-norm, 201 x 201 points), {seconds:.1f} s")
    if args.out:
        draw(problem, net, args.out)
        print(f"wrote {args.out}")
    if problem.tolerance is not None and error > problem.tolerance:
        print(f"error: the relative error is above {problem.tolerance:g}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
