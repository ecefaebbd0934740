"""Checkpoints: a training that was interrupted and went on has the bits of one that was not."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from mlpkern.fitting import Fitting

ROWS, BATCH, EPOCHS = 50, 8, 5  # 7 steps an epoch, the last of 2 rows
STEPS = 7


class Stop(BaseException):
    """A training's end that nobody has planned."""


class Training:
    """A network, its samples, an optimizer with states, a schedule and a callback with states."""

    def __init__(self, optimizer: str = "Adam", dtype: Any = np.float32, **numbers: Any) -> None:
        rng = np.random.default_rng(1)
        self.net = mk.MLP([4, 6, 3], dtype=dtype, seed=2)
        self.x = rng.normal(size=(ROWS + 20, 4)).astype(dtype)
        self.y = np.tanh(self.x[:, :3])
        numbers = {"lr": 0.05} | numbers
        self.optimizer = mk.OPTIMIZERS[optimizer](self.net, **numbers)
        self.early = mk.EarlyStopping(2)
        self.schedule: Any = mk.WarmUp(0.5, mk.ReduceOnPlateau(0.5, 1, min_delta=0.1))
        self.rows = ROWS

    def fit(self, **arguments: Any) -> mk.History:
        given: dict[str, Any] = {
            "loss": mk.MeanSquaredError(),
            "optimizer": self.optimizer,
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "seed": 5,
            "validation": (self.x[ROWS:], self.y[ROWS:]),
            "schedule": self.schedule,
            "callbacks": [self.early],
        }
        return mk.fit(self.net, self.x[: self.rows], self.y[: self.rows], **(given | arguments))

    def result(self, history: mk.History) -> dict[str, Any]:
        """Everything that must be the same, as bytes."""
        return {
            "parameters": self.net.parameters.tobytes(),
            "states": {name: s.tobytes() for name, s in self.optimizer.states.items()},
            "history": {name: np.array(v).tobytes() for name, v in history.items()},
            "config": self.optimizer.config(),
            "steps": self.optimizer.steps,
            "early": (self.early.best, self.early.best_epoch),
            "schedule": self.schedule(7.0) if self.schedule else None,
        }


def other(net: mk.Map | None = None, rows: int = ROWS) -> Training:
    t = Training()
    t.rows = rows
    if net is not None:
        t.net, t.optimizer = net, mk.Adam(net)
    return t


def interrupt(training: Training, writes: int, **arguments: Any) -> mk.History:
    """Train until so many checkpoints have been written, and not one step more."""
    write, count = mk.Checkpoint._write, iter(range(1, 10_000))

    def last(self: mk.Checkpoint, fitting: Any) -> None:
        write(self, fitting)
        if next(count) == writes:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mk.Checkpoint, "_write", last)
        return training.fit(**arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.npz"


def whole(*key: Any, **arguments: Any) -> dict[str, Any]:
    """The result of a training in one go, without any checkpoint."""
    t = Training(*key)
    return t.result(t.fit(**arguments))


@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS + 1))
def test_interrupted_after_any_step(path: Path, step: int) -> None:
    expected = whole()
    with pytest.raises(Stop):
        interrupt(Training(), step, checkpoint=mk.Checkpoint(path, steps=1))
    again = Training()
    again.net.parameters[...] = 7  # the checkpoint's take their place
    history = again.fit(resume=path, seed=99)
    assert again.result(history) == expected
    assert history.epochs == EPOCHS


@pytest.mark.parametrize("optimizer", mk.OPTIMIZERS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_optimizer_and_dtype(path: Path, dtype: type, optimizer: str, shuffle: bool) -> None:
    expected = whole(optimizer, dtype, shuffle=shuffle)
    first, checkpoint = Training(optimizer, dtype), mk.Checkpoint(path, steps=4)
    with pytest.raises(Stop):
        interrupt(first, 3, checkpoint=checkpoint, shuffle=shuffle)
    again = Training(optimizer, dtype)
    assert again.result(again.fit(resume=path, shuffle=shuffle)) == expected


def test_interrupted_again_and_again(path: Path) -> None:
    """The same call each time, as in a program that is simply started again."""
    rounds, history = 0, None
    while history is None:
        t, rounds = Training(), rounds + 1
        with contextlib.suppress(Stop):
            history = interrupt(t, 3, checkpoint=mk.Checkpoint(path, steps=2), resume=True)
    assert rounds == 7  # of 18 writes, every third stops it
    assert t.result(history) == whole()


@pytest.mark.parametrize("batch_size", [1, 7, 50, 51])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_batches_and_weights(path: Path, batch_size: int, reduction: str) -> None:
    """Batches without weight take no step, but have their place in an epoch."""
    arguments: dict[str, Any] = {
        "batch_size": batch_size,
        "shuffle": False,
        "loss": mk.SquaredError(reduction=reduction),
        "sample_weight": np.where(np.arange(ROWS) % 15 < 8, 0.0, 0.5),
        "epochs": 2,
    }
    expected = whole(**arguments)
    steps = -(-ROWS // batch_size)
    for writes in {1, steps, steps + 1, 2 * steps}:
        with pytest.raises(Stop):
            interrupt(Training(), writes, checkpoint=mk.Checkpoint(path, steps=1), **arguments)
        again = Training()
        assert again.result(again.fit(resume=path, **arguments)) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_within_an_epoch_loses_no_step(path: Path, error: type[BaseException]) -> None:
    """SIGALRM stands for SIGINT: it comes while C++ works on an epoch of 280,000 steps."""

    def raise_interrupt(*_: Any) -> None:
        raise error

    interrupted, whole, again = Training(), Training(), Training()
    x, y = np.tile(whole.x, (4000, 1)), np.tile(whole.y, (4000, 1))

    def fit(t: Training, **arguments: Any) -> mk.History:
        loss = mk.MeanSquaredError()
        return mk.fit(t.net, x, y, loss=loss, optimizer=t.optimizer, batch_size=1, **arguments)

    before = signal.signal(signal.SIGALRM, raise_interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.15)
    try:
        with pytest.raises(error):
            fit(interrupted, epochs=10**6, checkpoint=mk.Checkpoint(path, epochs=10**6))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    state = mk.load_checkpoint(path)
    assert state.steps == interrupted.optimizer.steps > 0
    assert_same_bits(state.parameters.copy(), interrupted.net.parameters.copy())
    assert len(state.history["loss"]) * len(x) + state.epoch[0] == state.steps
    epochs = len(state.history["loss"]) + 1
    expected = whole.result(fit(whole, epochs=epochs))
    assert again.result(fit(again, epochs=epochs, resume=state)) == expected


def test_ctrl_c_between_the_steps_and_the_validation(path: Path) -> None:
    """All rows of the third epoch are done, and it is not yet told of."""
    steps = Fitting._steps

    def interrupted(self: Fitting) -> float:
        cost = steps(self)
        if self.history.epochs == 2:
            raise KeyboardInterrupt
        return cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "_steps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Training().fit(checkpoint=path)
    state = mk.load_checkpoint(path)
    assert (len(state.history["loss"]), state.epoch[0]) == (2, ROWS)
    again = Training()
    assert again.result(again.fit(resume=path)) == whole()


PROGRAM = """
import sys
import numpy as np
import mlpkern as mk

rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 3000, 8)).astype(np.float32)
net = mk.MLP([8, 32, 8])
optimizer = mk.Adam(net)
checkpoint = mk.Checkpoint(sys.argv[1], steps=7) if len(sys.argv) > 1 else None
history = mk.fit(
    net, x, y, loss=mk.SquaredError(), optimizer=optimizer, epochs=40, batch_size=50,
    checkpoint=checkpoint, resume=checkpoint is not None,
    callbacks=[lambda h: print(h.epochs, flush=True)],
)
parts = [net.parameters, *optimizer.states.values(), np.array(history["loss"])]
print(b"".join(part.tobytes() for part in parts).hex())
"""


def test_a_killed_process(path: Path) -> None:
    """SIGKILL while it trains, and maybe while it writes; then the same program once more."""
    program = [sys.executable, "-c", PROGRAM]
    expected = subprocess.run(
        program, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for _ in range(3):
        with subprocess.Popen([*program, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(4):
                process.stdout.readline()
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert mk.load(path).parameters.size == 552
    last = subprocess.run([*program, str(path)], capture_output=True, text=True, check=True)
    lines = last.stdout.splitlines()
    assert lines[-1] == expected[-1]
    assert int(lines[0]) >= 10  # of each four epochs, three and some steps at least were kept


@pytest.mark.parametrize("writes", [1, 4, 7, 12])
def test_dropout_draws_the_same_masks(path: Path, writes: int) -> None:
    def training() -> Training:
        drop = mk.Dropout(0.3, seed=1)
        return other(mk.Chain(mk.Linear(4, 8), mk.Tanh(), drop, mk.Linear(8, 3), mk.Dropout(0.1)))

    expected = training()
    history = expected.fit()
    with pytest.raises(Stop):
        interrupt(training(), writes, checkpoint=mk.Checkpoint(path, steps=2))
    again = training()
    assert again.result(again.fit(resume=path)) == expected.result(history)
