"""Schedules against those of torch.optim.lr_scheduler, where the two mean the same."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import mlpkern as mk

torch = pytest.importorskip("torch")

STEPS = 30


def rates(make: Any, observed: list[float] | None = None) -> list[float]:
    """The learning rate of each step, from 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its chained schedulers warn of their own ways
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        found = []
        for step in range(STEPS):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step(*([] if observed is None else [observed[step]]))
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (mk.ConstantSchedule(0.5), lambda s, o: s.ConstantLR(o, 0.5, STEPS + 1)),
        (mk.StepSchedule(7, 0.3), lambda s, o: s.StepLR(o, 7, 0.3)),
        (mk.ExponentialSchedule(0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
        (mk.CosineSchedule(STEPS, 0.1), lambda s, o: s.CosineAnnealingLR(o, STEPS, 0.1)),
        (mk.WarmUp(5, start=0.2), lambda s, o: s.LinearLR(o, 0.2, total_iters=5)),
        (
            mk.WarmUp(5, mk.CosineSchedule(STEPS - 5), start=0.2),
            lambda s, o: s.SequentialLR(
                o,
                [s.LinearLR(o, 0.2, total_iters=5), s.CosineAnnealingLR(o, STEPS - 5)],
                milestones=[5],
            ),
        ),
        # its peak is at step 0.3 * 30 - 1 = 8, its last step is 29
        (mk.OneCycle(29, peak_at=8 / 29), lambda s, o: s.OneCycleLR(o, 1.0, STEPS)),
    ],
    ids=["constant", "step", "exponential", "cosine", "warm-up", "warm-up, cosine", "one cycle"],
)
def test_an_epoch_is_a_step_of_theirs(ours: mk.Schedule, theirs: Any) -> None:
    """Theirs multiply one factor a step onto another: a rounding each."""
    assert [ours(t) for t in range(STEPS)] == pytest.approx(rates(theirs), rel=1e-13, abs=1e-15)


def test_plateau_waits_for_one_epoch_less() -> None:
    costs = [5.0, 4, 4, 4, 4, 3.9, 3.7, 4, 4, 4, 1, 2, 2, 2, 2, 0.5] + [1.0] * 14
    ours, found = mk.ReduceOnPlateau(0.5, 3, min_delta=0.2, cooldown=2, min_factor=0.01), []
    for cost in costs:
        found.append(ours.current)
        ours.step(cost)
    theirs = rates(
        lambda s, o: s.ReduceLROnPlateau(
            o, factor=0.5, patience=2, threshold=0.2, threshold_mode="abs", cooldown=2, min_lr=0.01
        ),
        costs,
    )
    assert found == theirs
    assert len(set(found)) > 3
