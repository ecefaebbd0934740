"""Going on from a checkpoint: what must fit is looked at first, then all is put back at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpkern import persistence
from mlpkern.checkpoints import TrainingState
from mlpkern.fitting import Fitting
from mlpkern.optimizers import Optimizer, optimizer_from_config


def resume(state: TrainingState, fitting: Fitting) -> None:
    """Puts a training where the checkpoint left it.

    Raises
    ------
    ValueError
        Before the network or the optimizer are written, if the checkpoint is of another training.
    """
    _check(state, fitting)
    config = _hyperparameters(state, fitting.optimizer)
    try:
        like_it = optimizer_from_config(fitting.net, config)
        generator = np.random.default_rng()
        generator.bit_generator.state = state.generator
        _restore_listeners(state, fitting)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"fit: {state.path} does not fit this training: {error!r}") from None
    _take_hyperparameters(fitting.optimizer, like_it)
    state.write_into(fitting.net, fitting.optimizer)
    fitting.generator.bit_generator.state = state.generator
    fitting.drawn_from = state.generator
    fitting.seconds_before, fitting.stopped = state.seconds, state.stopped
    for key, values in state.history.items():
        fitting.history.setdefault(key, [])[:] = values
    if "lr" in fitting.history:  # with a schedule that is new, the optimizer's own before it
        rates = fitting.history["lr"]
        rates[:0] = [fitting.optimizer.config()["lr"]] * (fitting.history.epochs - len(rates))
    fitting.core.epoch = tuple(state.epoch)


def _check(state: TrainingState, fitting: Fitting) -> None:
    net, here = fitting.net, fitting.facts()
    dtype = state.model["dtype"]
    if state.model["config"] != net.config() or dtype != str(net.dtype or np.dtype(np.float32)):
        other = persistence.build(state.model, state.parameters.dtype, state.parameters.size)
        raise ValueError(
            f"fit: the network must be that of {state.path}, {other!r} of {dtype}; "
            f"got {net!r} of {net.dtype}"
        )
    _check_optimizer(state, fitting.optimizer)
    if state.samples["loss"] != here["loss"]:
        raise ValueError(
            f"fit: the loss must be that of {state.path}, {state.samples['loss']}; "
            f"got {here['loss']}"
        )
    if state.samples["rows"] != here["rows"]:
        raise ValueError(
            f"fit: x must have the {state.samples['rows']} rows of the training of {state.path}; "
            f"got {here['rows']}"
        )
    saved = state.samples  # an older file, and shards, have no checksums
    names = [n for n in ("x", "y") if n in saved and n in here and saved[n] != here[n]]
    if names:
        raise ValueError(
            f"fit: {' and '.join(names)} must be as in the training of {state.path}; "
            "got other numbers"
        )
    order = ("batch_size", "shuffle")
    if state.epoch[0] > 0 and any(state.samples.get(name) != here[name] for name in order):
        raise ValueError(
            f"fit: batch_size and shuffle must be those of {state.path}, which stands within an "
            f"epoch, {state.samples['batch_size']} and {state.samples['shuffle']}; "
            f"got {here['batch_size']} and {here['shuffle']}"
        )
    if ("val_loss" in state.history) != ("val_loss" in fitting.history):
        there = "one" if "val_loss" in state.history else "none"
        raise ValueError(f"fit: validation must be as in {state.path}, whose training had {there}")


def _check_optimizer(state: TrainingState, optimizer: Optimizer) -> None:
    if state.optimizer.get("type") != type(optimizer).__name__ or set(state.states) != set(
        optimizer.states
    ):
        there, here = (
            f"{kind} with {', '.join(states) or 'no states'}"
            for kind, states in (
                (state.optimizer.get("type"), state.states),
                (type(optimizer).__name__, optimizer.states),
            )
        )
        raise ValueError(f"fit: the optimizer must be that of {state.path}, {there}; got {here}")


def _hyperparameters(state: TrainingState, optimizer: Optimizer) -> Mapping[str, Any]:
    """Those of the checkpoint, but for what the caller gives otherwise than the training had it."""
    now = json.loads(json.dumps(optimizer.config()))  # tuples as lists, as in the checkpoint
    return {
        name: value if now.get(name) == state.given.get(name) else now.get(name)
        for name, value in state.optimizer.items()
    }


def _take_hyperparameters(optimizer: Optimizer, like: Optimizer) -> None:
    optimizer.groups = []
    optimizer._set_values(like._values)
    optimizer.groups = like.groups
    optimizer.clip_norm, optimizer.clip_value = like.clip_norm, like.clip_value


def _restore_listeners(state: TrainingState, fitting: Fitting) -> None:
    """Each callback takes the next state of its kind; one that is new begins afresh.

    Where one refuses its state, all are as they were.
    """
    saved = [state.schedule, *state.callbacks]
    before: list[tuple[Any, Any]] = []
    try:
        for listener in (fitting.schedule, *fitting.callbacks):
            kind = type(listener).__name__
            found = next((s for s in saved if s.get("type") == kind), None)
            if found is not None:
                saved.remove(found)
                before.append((listener, listener.state()))  # type: ignore[union-attr]
                listener.restore(found["state"])  # type: ignore[union-attr]
    except BaseException:
        for listener, own in before:
            listener.restore(own)
        raise
