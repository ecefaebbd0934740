"""The same bits of every derivative: threads, instruction sets, batches; and many threads at once.

By row: jacobian, jvp, vjp, linearize, parameter_jacobian, per_sample_gradients and their norms, all
derivatives by the input. Sums over the batch: hvp, ggnvp, hessian, and backward's gradients.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import derivative_cases as cases
import mlpkern as mk
from test_bits import assert_same, both_isas, check_threads  # noqa: F401
from test_safety import wait_for_error

Array = Any
Results = dict[str, Array]

NETS: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda dtype: mk.MLP([6, 33, 9, 3], "tanh", dtype=dtype, seed=1),
    "gelu-softargmax": lambda dtype: mk.MLP([6, 17, 5], "gelu", "softargmax", dtype=dtype, seed=1),
    "sigmoid-wide": lambda dtype: mk.MLP([5, 300, 2], "sigmoid", dtype=dtype, seed=1),
    "narrow": lambda dtype: mk.MLP([2, 8, 1], "relu", dtype=dtype, seed=1),
    "sum": cases.nested,
    "shared": cases.shared_in_chain,
    "rows": cases.by_rows,
    "standardized": cases.standardized,
}
each_net = pytest.mark.parametrize("name", NETS)


def samples(net: Any, n: int, dtype: Any) -> dict[str, Array]:
    """Inputs, tangents, cotangents, targets, directions, weights of the second derivatives."""
    rng, D = np.random.default_rng(51), net.inputs or 4
    K = net.predict(np.zeros((1, D), dtype)).shape[1]
    shapes = {"x": (n, D), "v": (n, D), "g": (n, K), "y": (n, K), "du_xx": (n, K, 2)}
    made = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    made["lines"] = rng.normal(size=(2, D)).astype(dtype)
    made["p"] = rng.normal(size=net.parameters.size).astype(dtype)
    return made


def by_rows(net: Any, s: dict[str, Array], part: Any = slice(None)) -> Results:
    """What has a row for each of x, v, g, y."""
    x, v, g, y = (s[name][part] for name in ("x", "v", "g", "y"))
    lin, d = mk.linearize(net, x), mk.derivatives(net, x)
    along = mk.derivatives(net, x, directions=s["lines"])
    loss = mk.SquaredError()
    return {
        "jacobian": mk.jacobian(net, x),
        "jvp": mk.jvp(net, x, v)[1],
        "vjp": mk.vjp(net, x, g)[1],
        "lin.y": np.array(lin.y),
        "lin.jvp": lin.jvp(v),
        "lin.vjp": lin.vjp(g),
        "parameter_jacobian": mk.parameter_jacobian(net, x),
        "per_sample_gradients": mk.per_sample_gradients(net, loss, x, y),
        "per_sample_gradient_norms": mk.per_sample_gradient_norms(net, loss, x, y),
        "input_hessian": mk.input_hessian(net, x),
        "input_hessian_diagonal": mk.input_hessian_diagonal(net, x),
        "laplacian": mk.laplacian(net, x),
        "u": np.array(d.u),
        "u_x": np.array(d.u_x),
        "u_xx": np.array(d.u_xx),
        "along u_x": np.array(along.u_x),
        "along u_xx": np.array(along.u_xx),
    }


def sums(net: Any, s: dict[str, Array], hessian: bool = True) -> Results:
    """What adds up over the batch."""
    loss, (x, y, p) = mk.SquaredError(), (s[name] for name in ("x", "y", "p"))
    results = {"hvp": mk.hvp(net, loss, x, y, p), "ggnvp": mk.ggnvp(net, loss, x, y, p)}
    if hessian:
        results["hessian"] = mk.hessian(net, loss, x[:40], y[:40])
    if not any(getattr(f, "by_rows", False) for f in net._maps()):
        net.zero_grad()
        d = mk.derivatives(net, x, directions=s["lines"])
        d.backward(s["g"], s["du_xx"], s["du_xx"])
        results["backward"] = net.gradients.copy()
        net.zero_grad()
    return results


def everything(net: Any, s: dict[str, Array]) -> Results:
    return by_rows(net, s) | sums(net, s, hessian=net.parameters.size < 400)


# --- bits ----------------------------------------------------------------------------------------
@each_net
def test_threads(isa: str, dtype: type, name: str) -> None:
    """1, 2 and 3 threads, over rows that they share."""
    net = NETS[name](dtype)
    s = samples(net, 700, dtype)
    check_threads(lambda: everything(net, s))


@each_net
def test_instruction_sets(both_isas: Any, dtype: type, name: str) -> None:  # noqa: F811
    net = NETS[name](dtype)
    for n in (1, 7, 130):
        s = samples(net, n, dtype)
        both_isas(lambda s=s: everything(net, s))


@pytest.mark.parametrize("f", cases.ACTIVATIONS.values(), ids=cases.ACTIVATIONS.keys())
def test_instruction_sets_on_every_activation(
    both_isas: Any,  # noqa: F811
    dtype: type,
    f: Any,
) -> None:
    net = cases.small_net(f, dtype)
    s = samples(net, 37, dtype)
    both_isas(lambda: everything(net, s))


@each_net
def test_batches(isa: str, dtype: type, name: str) -> None:
    """Split at many points, each row alone, the rows in another order."""
    net, n = NETS[name](dtype), 203
    s = samples(net, n, dtype)
    whole = by_rows(net, s)
    for k in (0, 1, 7, 8, 63, 64, 65, 96, 97, 200):
        halves = [by_rows(net, s, part) for part in (slice(0, k), slice(k, n))]
        assert_same({key: np.concatenate([h[key] for h in halves]) for key in whole}, whole)
    order = np.random.default_rng(52).permutation(n)
    assert_same(by_rows(net, s, order), {key: a[order] for key, a in whole.items()})
    for i in (0, 100, 202):
        alone = by_rows(net, s, slice(i, i + 1))
        assert_same(alone, {key: a[i : i + 1].copy() for key, a in whole.items()})


@each_net
def test_a_call_leaves_nothing_for_the_next(dtype: type, name: str) -> None:
    """Large and small batches in turn, and other calls between them, give the same bits."""
    net = NETS[name](dtype)
    large, small = samples(net, 130, dtype), samples(net, 3, dtype)
    first = [everything(net, s) for s in (large, small)]
    net(large["x"])
    for _ in range(2):
        assert_same(everything(net, small), first[1])
        assert_same(everything(net, large), first[0])


def test_nan_stays_in_its_row(isa: str, dtype: type) -> None:
    """NaN and infinity in one row of x, v and g; the other rows keep their bits."""
    net = NETS["tanh"](dtype)
    s = samples(net, 40, dtype)
    clean = by_rows(net, s)
    for value in (np.nan, np.inf):
        bad = {name: a.copy() for name, a in s.items()}
        for name in ("x", "v", "g", "y"):
            bad[name][17] = value
        with np.errstate(invalid="ignore"):
            got = by_rows(net, bad)
        others = np.arange(40) != 17
        assert_same(
            {name: a[others] for name, a in got.items()},
            {name: a[others] for name, a in clean.items()},
        )
        assert np.isnan(got["jvp"][17]).any()


def test_different_bits_are_seen(dtype: type) -> None:
    net = NETS["narrow"](dtype)
    s = samples(net, 5, dtype)
    one, other = everything(net, s), everything(net, s)
    assert_same(one, other)
    other["u_xx"][0, 0, 0, 0] += 1e-6
    with pytest.raises(AssertionError, match="u_xx"):
        assert_same(one, other)


# --- many Python threads -------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [1, 40, 1500])
def test_many_threads_at_once(dtype: type, rows: int) -> None:
    """Calls that only read may be made with one network by any number, and give the serial bits."""
    net = NETS["tanh"](dtype)
    s = samples(net, rows, dtype)
    expected = by_rows(net, s)
    start = threading.Barrier(4)

    def work(_: int) -> list[Results]:
        start.wait()
        return [by_rows(net, s) for _ in range(3)]

    with mk.num_threads(2), ThreadPoolExecutor(4) as pool:
        for results in pool.map(work, range(4)):
            for got in results:
                assert_same(got, expected)


CALLS: dict[str, Callable[[Any, dict[str, Array]], Any]] = {
    "jacobian": lambda net, s: mk.jacobian(net, s["x"]),
    "jvp": lambda net, s: mk.jvp(net, s["x"], s["v"]),
    "vjp": lambda net, s: mk.vjp(net, s["x"], s["g"]),
    "linearize": lambda net, s: mk.linearize(net, s["x"]),
    "parameter_jacobian": lambda net, s: mk.parameter_jacobian(net, s["x"]),
    "per_sample_gradients": lambda net, s: mk.per_sample_gradients(
        net, mk.SquaredError(), s["x"], s["y"]
    ),
    "per_sample_gradient_norms": lambda net, s: mk.per_sample_gradient_norms(
        net, mk.SquaredError(), s["x"], s["y"]
    ),
    "hvp": lambda net, s: mk.hvp(net, mk.SquaredError(), s["x"], s["y"], s["p"]),
    "ggnvp": lambda net, s: mk.ggnvp(net, mk.SquaredError(), s["x"], s["y"], s["p"]),
    "hessian": lambda net, s: mk.hessian(net, mk.SquaredError(), s["x"], s["y"]),
    "input_hessian": lambda net, s: mk.input_hessian(net, s["x"]),
    "laplacian": lambda net, s: mk.laplacian(net, s["x"]),
    "derivatives": lambda net, s: mk.derivatives(net, s["x"]),
}


def test_a_network_in_training(dtype: type) -> None:
    """While one thread trains, every call raises RuntimeError; so does backward; then all is well.

    Products of a linearization that was made before are its own: they are always there.
    """
    net = mk.MLP([16, 32, 2], "tanh", dtype=dtype)
    rng = np.random.default_rng(53)
    x, y = rng.normal(size=(3000, 16)).astype(dtype), rng.normal(size=(3000, 2)).astype(dtype)
    loss, opt, stop = mk.SquaredError(), mk.SGD(net, lr=0.0), threading.Event()
    s = samples(net, 2, dtype)
    lin, d = mk.linearize(net, s["x"]), mk.derivatives(net, s["x"])
    products = {"jvp": lin.jvp(s["v"]), "vjp": lin.vjp(s["g"])}

    def train() -> None:
        while not stop.is_set():
            with contextlib.suppress(RuntimeError):  # one of the calls below came first
                mk.fit(net, x, y, loss=loss, optimizer=opt, epochs=1, batch_size=16)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for name, call in CALLS.items():
            wait_for_error(lambda call=call: call(net, s), f"{name}: the network must not be in")
        wait_for_error(lambda: d.backward(du=s["g"]), "the network must not be in use")
        assert_same({"jvp": lin.jvp(s["v"]), "vjp": lin.vjp(s["g"])}, products)
    finally:
        stop.set()
        thread.join()
    for call in CALLS.values():
        call(net, s)


def test_reading_hinders_training() -> None:
    """A long Jacobian: a step meanwhile raises RuntimeError, and afterwards it does not."""
    net = mk.MLP([64, 256, 64], "tanh")
    x, opt, done = np.ones((500, 64), np.float32), mk.SGD(net, lr=0.0), threading.Event()

    def read() -> None:
        while not done.is_set():
            mk.jacobian(net, x)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        wait_for_error(opt.step, "step: the network must not be in use")
    finally:
        done.set()
        thread.join()
    opt.step()
