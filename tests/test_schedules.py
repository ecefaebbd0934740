"""Schedules: their formulas, and the steps of `fit` with them against steps by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits

TIMES = [0.0, 0.25, 1.0, 1.5, 2.0, 2.999, 3.0, 5.0, 9.75, 10.0, 10.5, 40.0]


def cosine_between(a: float, b: float, part: float) -> float:
    """sin^2 in place of (1 + cos)/2: another way to the same number."""
    return a + (b - a) * math.sin(math.pi / 2 * min(part, 1.0)) ** 2


def one_cycle(t: float) -> float:
    if t < 3:
        return cosine_between(0.1, 1, t / 3)
    return cosine_between(1, 0.01, (t - 3) / 7)


FORMULAS: dict[str, tuple[mk.Schedule, Any]] = {
    "constant": (mk.ConstantSchedule(0.3), lambda t: 0.3),
    "step": (mk.StepSchedule(3, 0.5), lambda t: 0.5 ** int(t / 3)),
    "step, parts of epochs": (mk.StepSchedule(0.25), lambda t: 0.1 ** int(4 * t)),
    "exponential": (mk.ExponentialSchedule(0.9), lambda t: math.exp(t * math.log(0.9))),
    "cosine": (mk.CosineSchedule(10), lambda t: cosine_between(1, 0, t / 10)),
    "cosine to a minimum": (mk.CosineSchedule(5, 0.2), lambda t: cosine_between(1, 0.2, t / 5)),
    "one cycle": (mk.OneCycle(10, 0.3, 0.1, 0.01), one_cycle),
    "one cycle, all up": (
        mk.OneCycle(10, 1, 0.5, 0.25),
        lambda t: cosine_between(0.5, 1, t / 10) if t < 10 else 0.25,
    ),
    "one cycle, all down": (
        mk.OneCycle(10, 0, end_factor=0),
        lambda t: cosine_between(1, 0, t / 10),
    ),
    "warm-up": (mk.WarmUp(4, start=0.0), lambda t: min(t / 4, 1.0)),
    "warm-up, then cosine": (
        mk.WarmUp(2, then=mk.CosineSchedule(8), start=0.5),
        lambda t: 0.5 + t / 4 if t < 2 else cosine_between(1, 0, (t - 2) / 8),
    ),
    "warm-up, then a function": (
        mk.WarmUp(2, then=lambda t: 0.5 - 0.01 * t, start=0.0),
        lambda t: t / 4 if t < 2 else 0.5 - 0.01 * (t - 2),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("t", TIMES)
def test_formulas(name: str, t: float) -> None:
    schedule, formula = FORMULAS[name]
    factor = schedule(t)
    assert type(factor) is float
    # some roundings of numbers up to 1, and pi t/2 to half a unit of it: 1e-15 each
    assert factor == pytest.approx(formula(t), rel=1e-14, abs=1e-15)


def test_ends_are_exact() -> None:
    assert mk.CosineSchedule(10, 0.3)(0) == mk.OneCycle(10)(3) == mk.WarmUp(2)(2) == 1
    assert mk.CosineSchedule(10, 0.3)(10) == mk.CosineSchedule(10, 0.3)(11) == 0.3
    assert mk.OneCycle(10)(0) == 0.04
    assert mk.OneCycle(10)(10) == mk.OneCycle(10)(11) == 4e-6
    assert mk.WarmUp(2, start=0.25)(0) == 0.25


@pytest.mark.parametrize(
    ("arguments", "costs", "factors"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 2, 2], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 2}, [3, 4, 2, 4, 1, 4], [1] * 6),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.6, 2.4, 2.0], [1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3, 3], [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "min_factor": 0.3}, [3, 3, 3, 3], [1, 0.5, 0.3, 0.3]),
        ({"patience": 2}, [math.nan] * 3, [1, 0.5, 0.5]),
    ],
)
def test_plateau(arguments: Any, costs: list[float], factors: list[float]) -> None:
    schedule = mk.ReduceOnPlateau(factor=0.5, **arguments)
    assert schedule() == schedule.current == 1
    for cost, factor in zip(costs, factors, strict=True):
        schedule.step(cost)
        assert schedule(7.5) == schedule.current == factor


def test_plateau_goes_on_from_its_state() -> None:
    costs = [3.0, 2.0, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5, 2.0, 2.0]
    one = mk.ReduceOnPlateau(0.5, 2, cooldown=1)
    for interrupted in range(len(costs)):
        one.begin(mk.History(net := mk.Linear(1, 1), mk.SGD(net)))
        for cost in costs[:interrupted]:
            one.step(cost)
        other = mk.WarmUp(0.5, mk.ReduceOnPlateau(0.5, 2, cooldown=1))
        other.restore(one.state())
        for cost in costs[interrupted:]:
            one.step(cost)
            other.then.step(cost)
            assert other(3.0) == one.current
    assert one.current < 1


class Problem:
    """A small network and its samples."""

    def __init__(self, n: int = 50) -> None:
        rng = np.random.default_rng(n)
        self.net = mk.MLP([4, 6, 3])
        self.loss = mk.MeanSquaredError()
        self.x, self.y = rng.normal(size=(2, n, 4)).astype(np.float32)
        self.y = self.y[:, :3].copy()

    def fit(self, optimizer: mk.Optimizer, **arguments: Any) -> mk.History:
        arguments = {"epochs": 4, "batch_size": 16} | arguments
        return mk.fit(self.net, self.x, self.y, loss=self.loss, optimizer=optimizer, **arguments)


@pytest.mark.parametrize("optimizer", mk.OPTIMIZERS)
@pytest.mark.parametrize(
    "schedule",
    [
        mk.WarmUp(1, mk.CosineSchedule(3)),
        mk.StepSchedule(0.75, 0.5),
        lambda t: np.float32(1 / (1 + t)),
        lambda t: 1,
    ],
    ids=["warm-up", "step", "function", "integer"],
)
def test_fit_takes_the_steps_by_hand(optimizer: str, schedule: Any) -> None:
    """Step i of s in epoch e has the factor at e + i/s; the optimizer's own rate stays."""
    p, by_hand = Problem(), Problem()
    opt = mk.OPTIMIZERS[optimizer](p.net, lr=0.02)
    history = p.fit(opt, schedule=schedule, seed=3)
    assert opt.lr == 0.02  # type: ignore[attr-defined]
    other = mk.OPTIMIZERS[optimizer](by_hand.net)
    generator, rates = np.random.default_rng(3), []
    for epoch in range(4):
        order = generator.permutation(50)
        for i in range(4):
            batch = order[16 * i : 16 * (i + 1)]
            other.lr = 0.02 * float(schedule(epoch + i / 4))  # type: ignore[attr-defined]
            mk.train_step(by_hand.net, by_hand.loss, other, by_hand.x[batch], by_hand.y[batch])
        rates.append(other.lr)  # type: ignore[attr-defined]
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())
    assert history["lr"] == rates
    assert list(history) == ["loss", "lr"]
    assert list(p.fit(opt, validation=0.5)) == ["loss", "val_loss"]


def test_plateau_in_fit() -> None:
    """It follows what it is told to monitor, before the callbacks look, and begins afresh."""
    p = Problem()
    seen: list[float] = []
    schedule = mk.WarmUp(1, mk.ReduceOnPlateau(0.5, 1))
    history = p.fit(
        mk.SGD(p.net, lr=1.0),
        epochs=30,
        schedule=schedule,
        validation=0.5,
        callbacks=[lambda h: seen.append(schedule(5.0))],
    )
    by_hand, factors = mk.ReduceOnPlateau(0.5, 1), [1.0]
    for cost in history["val_loss"][1:]:
        by_hand.step(cost)
        factors.append(by_hand.current)
    assert seen == factors
    assert history["lr"][1:] == factors[:-1]
    assert 0 < factors[-1] < 1
    assert p.fit(mk.SGD(p.net), epochs=2, schedule=schedule)["lr"][1] == 0.1
    follows_loss = mk.ReduceOnPlateau(0.5, 1, monitor="loss", min_delta=1e6)
    assert p.fit(mk.SGD(p.net), schedule=follows_loss, validation=0.5)["lr"] == [
        0.1,
        0.1,
        0.05,
        0.025,
    ]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: mk.ConstantSchedule(-1), ValueError, "ConstantSchedule: factor must be finite"),
        (lambda: mk.StepSchedule(0), ValueError, "StepSchedule: step_size must be finite and gr"),
        (lambda: mk.StepSchedule(2, -0.5), ValueError, "StepSchedule: gamma must be finite and "),
        (lambda: mk.ExponentialSchedule("x"), TypeError, "gamma must be a number; got str"),
        (lambda: mk.ExponentialSchedule(0), ValueError, "gamma must be finite and greater than 0"),
        (lambda: mk.CosineSchedule(0), ValueError, "CosineSchedule: epochs must be finite and gr"),
        (lambda: mk.OneCycle(5, peak_at=1.5), ValueError, "OneCycle: peak_at must be from 0 to 1"),
        (lambda: mk.WarmUp(0), ValueError, "WarmUp: epochs must be finite and greater than 0"),
        (lambda: mk.WarmUp(1, then=3), TypeError, "WarmUp: then must be a schedule .* got int"),
        (lambda: mk.ReduceOnPlateau(2.0), ValueError, "factor must be from 0 to 1; got 2.0"),
        (lambda: mk.ReduceOnPlateau(patience=0), ValueError, "patience must be at least 1; got 0"),
        (lambda: mk.ReduceOnPlateau(cooldown=1.5), TypeError, "cooldown must be an integer"),
    ],
)
def test_wrong_arguments(make: Any, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("schedule", "error", "text"),
    [
        (0.5, TypeError, "fit: schedule must be callable; got float"),
        (lambda t: "high", TypeError, "fit: schedule must give numbers; got str at 0 epochs"),
        (lambda t: 1 - t, ValueError, r"at least 0; got -0.25 at 1.25 epochs"),
        (lambda t: math.nan, ValueError, "fit: schedule must give finite factors .* got nan at 0 "),
        (
            mk.ReduceOnPlateau(monitor="val_loss"),
            ValueError,
            "monitor must be one of loss, lr; got",
        ),
    ],
)
def test_wrong_schedules_in_fit(schedule: Any, error: type, text: str) -> None:
    """The epochs before the first wrong factor are whole, and so is the model."""
    p, other = Problem(), Problem()
    with pytest.raises(error, match=text):
        p.fit(mk.SGD(p.net), schedule=schedule)
    if "1.25" in text:
        other.fit(mk.SGD(other.net), epochs=1, schedule=lambda t: 1 - t)
    assert_same_bits(p.net.parameters.copy(), other.net.parameters.copy())


def test_repr() -> None:
    assert repr(mk.WarmUp(2, mk.CosineSchedule(8.0))) == (
        "WarmUp(epochs=2.0, then=CosineSchedule(epochs=8.0, minimum=0.0), start=0.01)"
    )
    assert repr(mk.ReduceOnPlateau()) == (
        "ReduceOnPlateau(factor=0.1, patience=10, monitor=None, min_delta=0.0, cooldown=0, "
        "min_factor=0.0)"
    )
