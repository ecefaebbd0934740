"""Checkpoints as files: what stands in them, when they are written, and which are refused."""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from mlpkern import container
from mlpkern.persistence import load_with_metadata
from mlpkern.samples import checksum_of_some
from test_checkpoints import BATCH, EPOCHS, ROWS, STEPS, Stop, Training, interrupt, other, whole


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.npz"


def a_checkpoint(path: Path, **arguments: Any) -> mk.TrainingState:
    """That of a training which stands within its third epoch."""
    with pytest.raises(Stop):
        interrupt(Training(), 3, checkpoint=mk.Checkpoint(path, steps=6), **arguments)
    return mk.load_checkpoint(path)


def test_what_a_checkpoint_says(path: Path) -> None:
    state = a_checkpoint(path)
    assert (state.steps, state.epoch[0], len(state.history["loss"])) == (18, 4 * BATCH, 2)
    training = Training()
    assert state.samples == {
        "x": zlib.crc32(training.x[:ROWS].tobytes()),
        "y": zlib.crc32(training.y[:ROWS].tobytes()),
        "rows": ROWS,
        "batch_size": BATCH,
        "shuffle": True,
        "loss": "MeanSquaredError(reduction='mean')",
    }
    assert state.optimizer["lr"] == 0.05
    net, optimizer = state.rebuild()
    assert_same_bits(net.parameters.copy(), state.parameters.copy())
    assert_same_bits(mk.load(path).parameters.copy(), state.parameters.copy())
    assert optimizer.steps == 18
    assert_same_bits(optimizer.states["exp_avg"].copy(), state.states["exp_avg"].copy())
    with np.load(path, allow_pickle=False) as arrays:
        assert {"model", "metadata", "parameters", "training", "training.0"} <= set(arrays)


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [({"epochs": 2}, [2, 4, 5]), ({}, [1, 2, 3, 4, 5]), ({"steps": 14}, [2, 4, 5])],
)
def test_how_often(path: Path, monkeypatch: Any, arguments: Any, epochs: list[int]) -> None:
    written, write = [], mk.Checkpoint._write

    def note(self: mk.Checkpoint, fitting: Any) -> None:
        write(self, fitting)
        written.append(len(mk.load_checkpoint(path).history["loss"]))

    monkeypatch.setattr(mk.Checkpoint, "_write", note)
    Training().fit(checkpoint=mk.Checkpoint(path, **arguments))
    assert written == epochs


def test_every_so_many_seconds(path: Path, monkeypatch: Any) -> None:
    """With a clock that goes a second at each look; the bits are those of any other training."""
    clock = iter(np.arange(1e6))
    written, write = [], mk.Checkpoint._write

    def note(self: mk.Checkpoint, fitting: Any) -> None:
        write(self, fitting)
        written.append(fitting.optimizer.steps)

    monkeypatch.setattr(mk.Checkpoint, "_write", note)
    monkeypatch.setattr("mlpkern.checkpoints.time.perf_counter", lambda: next(clock))
    t = Training()
    assert t.result(t.fit(checkpoint=mk.Checkpoint(path, seconds=10))) == whole()
    assert 2 < len(written) < EPOCHS * STEPS
    assert written[-1] == EPOCHS * STEPS


def test_a_path_alone_is_every_epoch(path: Path) -> None:
    Training().fit(checkpoint=path, epochs=1)
    assert mk.load_checkpoint(path).history["loss"]
    assert repr(mk.Checkpoint(path)) == f"Checkpoint({str(path)!r}, epochs=1)"
    with pytest.raises(TypeError, match="Checkpoint: path must be a path; got int"):
        Training().fit(checkpoint=3)
    for wrong in ({"epochs": 0}, {"steps": 0}, {"seconds": -1}):
        with pytest.raises(ValueError, match=r"Checkpoint: .* must be .*at least"):
            mk.Checkpoint(path, **wrong)  # type: ignore[arg-type]


def test_metadata_and_nothing_left_to_do(path: Path) -> None:
    first = Training()
    expected = first.result(first.fit(checkpoint=mk.Checkpoint(path, metadata={"run": 3})))
    assert load_with_metadata(path)[1] == {"run": 3}
    again = Training()
    assert again.result(again.fit(resume=path)) == expected


def test_a_training_that_a_callback_ended_stays_ended(path: Path) -> None:
    """Early stopping puts its best parameters back, the second time too."""
    numbers = {"epochs": 100, "schedule": None, "callbacks": [mk.EarlyStopping(1, min_delta=0.1)]}
    first, again = Training(), Training()
    history = first.fit(checkpoint=path, **numbers)
    assert history.epochs < 100
    numbers["callbacks"] = [mk.EarlyStopping(1, min_delta=0.1)]
    assert again.result(again.fit(resume=path, **numbers)) == first.result(history)
    assert_same_bits(again.net.parameters.copy(), first.net.parameters.copy())


def test_resume_where_there_is_no_file(path: Path) -> None:
    t = Training()
    assert t.result(t.fit(checkpoint=path, resume=True)) == whole()
    with pytest.raises(ValueError, match="fit: resume=True needs a checkpoint, whose file it goes"):
        Training().fit(resume=True)
    with pytest.raises(FileNotFoundError):
        Training().fit(resume=path.with_name("none"))


def test_other_hyperparameters(path: Path) -> None:
    """What the caller changed is taken; what the training itself changed comes back."""

    def decay_more(history: mk.History) -> None:
        history.optimizer.weight_decay = 0.01  # type: ignore[attr-defined]

    a_checkpoint(path, callbacks=[decay_more])
    changed = Training(lr=0.002, groups={"b": {"weight_decay": 0.0}}, clip_norm=0.5)
    changed.fit(resume=path, schedule=mk.ConstantSchedule(0.5))
    config = changed.optimizer.config()
    assert (config["lr"], config["weight_decay"], config["clip_norm"]) == (0.002, 0.01, 0.5)
    assert [group.values for group in changed.optimizer.groups] == [{"weight_decay": 0.0}]
    state, other = mk.load_checkpoint(path), Training()
    state.optimizer["lr"] = 0.001
    history = other.fit(resume=state, schedule=None, epochs=3)
    assert other.optimizer.config()["lr"] == 0.001
    assert history["lr"][-1] == 0.001  # the rate is told on, once it has been


def test_a_schedule_that_is_new(path: Path) -> None:
    a_checkpoint(path, schedule=None)
    history = Training().fit(resume=path, schedule=lambda t: 0.5, epochs=4)
    assert history["lr"] == [0.05, 0.05, 0.025, 0.025]


OTHERS: dict[str, tuple[Any, Any, str]] = {
    "network": (
        lambda: other(mk.MLP([4, 5, 3])),
        {},
        r"fit: the network must be that of FILE, Chain\(",
    ),
    "dtype": (
        lambda: Training("Adam", np.float64),
        {},
        "that of FILE, .* of float32; got .* of float64",
    ),
    "optimizer": (
        lambda: Training("RMSprop"),
        {},
        "that of FILE, Adam with exp_avg, exp_avg_sq; got RMSprop wit",
    ),
    "loss": (
        Training,
        {"loss": mk.SquaredError()},
        "fit: the loss must be that of FILE, MeanSquaredEr",
    ),
    "rows": (lambda: other(rows=40), {}, "x must have the 50 rows of the training of FILE; got 40"),
    "batch": (
        Training,
        {"batch_size": 9},
        "be those of FILE, which stands within an epoch, 8 and True; got 9 and True",
    ),
    "order": (Training, {"shuffle": False}, "within an epoch, 8 and True; got 8 and False"),
    "validation": (
        Training,
        {"validation": None},
        "fit: validation must be as in FILE, whose training had one",
    ),
}


@pytest.mark.parametrize(("make", "arguments", "text"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_another_training(path: Path, make: Any, arguments: Any, text: str) -> None:
    a_checkpoint(path)
    t = make()
    before, config = t.net.parameters.copy(), t.optimizer.config()
    arguments = {"schedule": None} | arguments
    with pytest.raises(ValueError, match=text.replace("FILE", re.escape(str(path)))):
        t.fit(resume=path, **arguments)
    assert_same_bits(t.net.parameters.copy(), before)
    assert (t.optimizer.config(), t.optimizer.steps) == (config, 0)


@pytest.mark.parametrize("names", [["x"], ["y"], ["x", "y"]], ids="".join)
def test_other_data_of_the_same_shape(path: Path, names: list[str]) -> None:
    a_checkpoint(path)
    t, state = other(), mk.load_checkpoint(path)
    for name in names:
        getattr(t, name)[3, 1] += 1
    before = t.net.parameters.copy()
    text = f"fit: {' and '.join(names)} must be as in the training of {path}; got other numbers"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        t.fit(resume=path)
    assert_same_bits(t.net.parameters.copy(), before)
    for name in names:  # as in the files of before there were checksums
        del state.samples[name]
    t.fit(resume=state)


def test_checksums_of_some_rows() -> None:
    large = np.arange(400_000.0).reshape(-1, 4)
    first = checksum_of_some(large)
    for row in (0, len(large) - 1):
        changed = large.copy()
        changed[row, 2] += 1
        assert checksum_of_some(changed) != first
    assert checksum_of_some(large[::-1]) != first
    assert checksum_of_some(large.astype(">f8")) == checksum_of_some(np.asfortranarray(large))
    labels = np.arange(9)
    assert checksum_of_some(labels.astype(np.uint8)) == checksum_of_some(labels)
    for shape in [(0, 3), (3, 0), (1, 10**5), (10, 10**5)]:
        assert checksum_of_some(np.ones(shape)) == checksum_of_some(np.ones(shape).copy("F"))
    for odd in (np.array(3.0), np.array(["a"]), np.array([None])):  # for the first step to refuse
        assert checksum_of_some(odd) == 0


def test_another_batch_size_between_epochs(path: Path) -> None:
    Training().fit(checkpoint=path, epochs=2)
    assert Training().fit(resume=path, batch_size=10, shuffle=False).epochs == EPOCHS


def test_a_damaged_checkpoint_changes_nothing(path: Path) -> None:
    a_checkpoint(path)
    data, t = path.read_bytes(), Training()
    before = t.net.parameters.copy()
    cut = path.with_name("cut.npz")
    for length in range(0, len(data), 97):
        cut.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut\.npz is not a checkpoint that can be read: "):
            t.fit(resume=cut)
    for place in range(0, len(data), 61):
        cut.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with contextlib.suppress(ValueError):  # it may be a date
            mk.load_checkpoint(cut)
    mk.save(cut, t.net)
    with pytest.raises(ValueError, match="it holds a network without its training"):
        t.fit(resume=cut)
    assert_same_bits(t.net.parameters.copy(), before)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 2}, "its training must have version 1"),
        ({"steps": -1}, "its epoch must be three numbers"),
        ({"steps": 2**70}, "its epoch must be three numbers"),
        ({"passes": [1]}, "its network has 0 dropouts, not 1"),
        ({"steps": "many"}, "its steps must be of type int, not str"),
        ({"epoch": [4, 0.0, 4]}, "its epoch of 50 rows cannot stand at row 4"),
        ({"epoch": [800, 0.0, 4]}, "cannot stand at row 800"),
        ({"history": {"loss": {"$array": 99, "shape": [1]}}}, "an array must be one of"),
        ({"history": {}}, "its history must have a loss for each epoch"),
        ({"states": {"exp_avg": [1.0]}}, "its state exp_avg must be like the parameters"),
        ({"evil": 1}, "unexpected keyword argument 'evil'"),
        ({"generator": 3}, "its generator must be of type dict, not int"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_hostile_checkpoint_is_one_clear_error(path: Path, changes: Any, text: str) -> None:
    a_checkpoint(path)
    with np.load(path) as file:
        arrays = dict(file)
    tree = json.loads(arrays["training"].tobytes()) | changes
    container.write_arrays(path, arrays | {"training": container.as_bytes(json.dumps(tree))})
    with pytest.raises(ValueError, match=r"run\.npz is not a checkpoint that can be read: ") as e:
        Training().fit(resume=path)
    assert text in str(e.value)


@pytest.mark.parametrize("changes", [{"generator": {}}, {"optimizer": {"type": "Adam", "lr": -1}}])
def test_a_state_that_does_not_fit(path: Path, changes: Any) -> None:
    state, t = a_checkpoint(path), Training()
    before = t.net.parameters.copy()
    for name, value in changes.items():
        setattr(state, name, value)
    with pytest.raises(ValueError, match="does not fit this training"):
        t.fit(resume=state)
    assert_same_bits(t.net.parameters.copy(), before)


class Counter:
    """A callback of one's own that counts, and goes on counting."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, history: mk.History) -> None:
        self.seen.append(history["loss"][-1])
        history.setdefault("twice", []).append(2 * history["loss"][-1])

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen, "nested": [None, np.float64("inf"), np.ones((2, 2))]}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]
        assert state["nested"][:2] == [None, float("inf")]
        assert_same_bits(state["nested"][2].copy(), np.ones((2, 2)))


def test_callbacks_of_ones_own(path: Path) -> None:
    a_checkpoint(path, callbacks=[Counter()])
    counter = Counter()
    again = Training().fit(resume=path, callbacks=[mk.EarlyStopping(9), counter], epochs=4)
    assert counter.seen == again["loss"]
    assert len(counter.seen) == 4
    assert again["twice"] == [2 * loss for loss in again["loss"]]
    counter.seen = [object()]
    with pytest.raises(
        TypeError, match=r"Checkpoint: state\(\) of a callback or schedule must be "
    ):
        Training().fit(checkpoint=path, callbacks=[counter], epochs=1)
