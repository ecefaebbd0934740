"""Checkpoints: all that `fit` needs to go on with a training, in one file, to the same bits.

The file is that of `save` with more arrays: ``training`` is JSON, whose arrays are ``training.0``,
``training.1`` and so on. So `load` reads the network of a checkpoint. The order of the samples is
not there: the generator's state before it drew the epoch's order is, and the rows done.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlpkern import container, persistence
from mlpkern._arguments import integer, number
from mlpkern.dropout import dropouts_in
from mlpkern.maps import Map
from mlpkern.optimizers import Optimizer, optimizer_from_config

if TYPE_CHECKING:
    from mlpkern.fitting import Fitting

VERSION = 1


class Checkpoint:
    """Where and how often `fit` writes what it needs to go on.

    It writes after every so many epochs, steps or seconds, whichever of those given comes first; at
    the end; and on Ctrl-C. The file is there whole or not at all.

    Parameters
    ----------
    path : str or path
        Taken as it is; an older file is replaced.
    epochs, steps : int, optional
        By default, every epoch.
    seconds : float, optional
    metadata : mapping, optional
        Anything JSON can hold, for ``persistence.load_with_metadata``.
    """

    def __init__(
        self,
        path: container.StrPath,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        seconds: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"Checkpoint: path must be a path; got {type(path).__name__}")
        self.path = os.fspath(path)
        if epochs is None and steps is None and seconds is None:
            epochs = 1
        self.epochs = None if epochs is None else integer("Checkpoint", "epochs", epochs, 1)
        self.steps = None if steps is None else integer("Checkpoint", "steps", steps, 1)
        self.seconds = None if seconds is None else number("Checkpoint", "seconds", seconds, 0.0)
        persistence.checked_metadata(metadata)
        self.metadata = dict(metadata or {})
        self._begin()

    def __repr__(self) -> str:
        often = {"epochs": self.epochs, "steps": self.steps, "seconds": self.seconds}
        inside = "".join(f", {key}={value}" for key, value in often.items() if value is not None)
        return f"Checkpoint({self.path!r}{inside})"

    def _begin(self) -> None:
        self._written = self._asked = time.perf_counter()
        self._pace = 1

    def _steps_to(self, done: int) -> int:
        """How many steps may be taken before `_due` is asked, after so many; -1 for any number."""
        most = [] if self.steps is None else [self.steps - done % self.steps]
        if self.seconds is not None:  # some tenth of a second, or of what was asked for
            now = time.perf_counter()
            long = now - self._asked > min(0.1, self.seconds / 10)
            self._pace = max(self._pace // 2, 1) if long else self._pace * 2
            self._asked = now
            most.append(self._pace)
        return min(most, default=-1)

    def _due(self, epochs: int | None, steps: int) -> bool:
        """Whether to write, after so many steps; ``epochs`` is None within an epoch."""
        return (
            (self.epochs is not None and epochs is not None and epochs % self.epochs == 0)
            or (self.steps is not None and steps % self.steps == 0)
            or (self.seconds is not None and time.perf_counter() - self._written >= self.seconds)
        )

    def _write(self, fitting: Fitting) -> None:
        arrays = persistence.arrays_of("Checkpoint", fitting.net, self.metadata)
        container.write_arrays(self.path, arrays | TrainingState.of(fitting)._arrays())
        self._written = time.perf_counter()


@dataclass
class TrainingState:
    """What a checkpoint holds beside the network; see `load_checkpoint`.

    Attributes
    ----------
    path : str
    model : dict
        The network's dtype, and its architecture as ``model["config"]``.
    parameters : array, shape (P,)
    optimizer : dict
        Its configuration. To go on with other numbers, write into it: ``optimizer["lr"] = 1e-4``.
    given : dict
        The configuration that it had when ``fit`` was called.
    steps : int
    states : dict of array, shape (P,)
    history : dict of list
    seconds : float
    epoch : list
        Of the epoch that has begun: rows done, the sum of their costs, rows in the sum.
    samples : dict
        Rows, batch size, whether they are shuffled, the loss; checksums of some rows of x and y, of
        which one that is not there is not looked at: ``del samples["x"]`` goes on with another x.
    generator : dict
        The state of what shuffles, before it drew the order of the epoch.
    passes : list of int
        Of each Dropout.
    schedule : dict
    callbacks : list of dict
    stopped : bool
        Whether a callback has ended the training.
    """

    path: str
    model: dict[str, Any]
    parameters: NDArray[Any]
    optimizer: dict[str, Any]
    given: dict[str, Any]
    steps: int
    states: dict[str, NDArray[Any]]
    history: dict[str, list[float]]
    seconds: float
    epoch: list[Any]
    samples: dict[str, Any]
    generator: dict[str, Any]
    passes: list[int]
    schedule: dict[str, Any]
    callbacks: list[dict[str, Any]]
    stopped: bool

    @classmethod
    def of(cls, fitting: Fitting) -> TrainingState:
        """What there is now; the arrays are the network's and the optimizer's own."""
        net, optimizer = fitting.net, fitting.optimizer
        return cls(
            path="",
            model={},
            parameters=net.parameters,
            optimizer=optimizer.config(),
            given=fitting.config,
            steps=optimizer.steps,
            states=optimizer.states,
            history=dict(fitting.history),
            seconds=fitting.history.seconds,
            epoch=list(fitting.core.epoch),
            samples=fitting.facts(),
            generator=fitting.drawn_from,
            passes=[f.passes for f in dropouts_in(net)],
            schedule=_state_of(fitting.schedule),
            callbacks=[state for c in fitting.callbacks if (state := _state_of(c))],
            stopped=fitting.stopped,
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of the file that stand beside the network's."""
        fields: dict[str, Any] = {
            key: value
            for key, value in vars(self).items()
            if key not in ("path", "model", "parameters")
        }
        fields["history"] = {k: np.asarray(v, np.float64) for k, v in self.history.items()}
        inside: list[NDArray[Any]] = []
        try:
            tree = container.pack({"version": VERSION, **fields}, inside)
        except TypeError as error:
            raise TypeError(f"Checkpoint: state() of a callback or schedule {error}") from None
        text = container.as_bytes(json.dumps(tree, allow_nan=False))
        return {"training": text} | {f"training.{i}": array for i, array in enumerate(inside)}

    def rebuild(self) -> tuple[Map, Optimizer]:
        """A network and an optimizer as they were, for a loop of one's own."""
        net: Map = persistence.build(self.model, self.parameters.dtype, self.parameters.size)
        optimizer = optimizer_from_config(net, self.optimizer)
        self.write_into(net, optimizer)
        return net, optimizer

    def write_into(self, net: Map, optimizer: Optimizer) -> None:
        """Writes parameters, states and counts into a network and an optimizer like these."""
        net.parameters[...] = self.parameters
        for name, state in self.states.items():
            optimizer.states[name][...] = state
        optimizer._core.steps = self.steps
        for dropout, passes in zip(dropouts_in(net), self.passes, strict=True):
            dropout.passes = passes


def load_checkpoint(path: container.StrPath) -> TrainingState:
    """Return what a checkpoint holds, to look at, or for ``fit(…, resume=…)``.

    Raises
    ------
    ValueError
        The file is damaged, truncated, of a newer version or no checkpoint at all.
    FileNotFoundError
        There is no such file.
    """
    data = container.read(path)
    with container.refusing(os.fspath(path), "checkpoint"):
        return _read(os.fspath(path), container.arrays_in(data, persistence.check_members))


def _read(path: str, arrays: dict[str, NDArray[Any]]) -> TrainingState:
    if "training" not in arrays:
        raise ValueError("it holds a network without its training")
    inside = [arrays[f"training.{i}"] for i in range(len(arrays) - 4)]
    tree = container.unpack(container.as_object(arrays["training"], "training"), inside)
    if tree.pop("version", None) != VERSION:
        raise ValueError(f"its training must have version {VERSION}")
    model = container.as_object(arrays["model"], "model")
    parameters = arrays["parameters"]
    tree["history"] = {key: list(map(float, values)) for key, values in tree["history"].items()}
    state = TrainingState(path=path, model=model, parameters=parameters, **tree)
    for field in dataclasses.fields(TrainingState):
        kind, value = str(field.type).partition("[")[0], getattr(state, field.name)
        if type(value).__name__ != kind.replace("NDArray", "ndarray"):
            raise ValueError(f"its {field.name} must be of type {kind}, not {type(value).__name__}")
    _check_numbers(state)
    return state


def _check_numbers(state: TrainingState) -> None:
    row, total, rows = state.epoch
    n, batch_size = state.samples["rows"], state.samples["batch_size"]
    counts = (row, rows, n, batch_size, state.steps, *state.passes)
    if (
        any(type(count) is not int or not 0 <= count < 2**62 for count in counts)
        or type(total) is not float
    ):
        raise ValueError(f"its epoch must be three numbers, not {state.epoch}")
    if not (rows <= row <= n and 0 < batch_size <= n and (row % batch_size == 0 or row == n)):
        raise ValueError(f"its epoch of {n} rows cannot stand at row {row}")
    done = {len(state.history[key]) for key in ("loss", "val_loss") if key in state.history}
    if len(done) != 1:
        raise ValueError("its history must have a loss for each epoch")
    net = persistence.build(state.model, state.parameters.dtype, state.parameters.size)
    if len(dropouts_in(net)) != len(state.passes):
        raise ValueError(
            f"its network has {len(dropouts_in(net))} dropouts, not {len(state.passes)}"
        )
    for name, array in state.states.items():
        like = isinstance(array, np.ndarray) and array.dtype == state.parameters.dtype
        if not like or array.shape != state.parameters.shape:
            raise ValueError(f"its state {name} must be like the parameters")


def _state_of(listener: Any) -> dict[str, Any]:
    """The state of a schedule or callback; empty where it has none to tell."""
    if not hasattr(listener, "state"):
        return {}
    return {"type": type(listener).__name__, "state": listener.state()}
