"""The pairs of an activation and a cost that have a form which neither overflows nor cancels.

Sigmoid with binary cross-entropy, softargmax with categorical cross-entropy: cost and gradient are
computed from s, the input of the activation. ``train_step`` sees both sides and does so. In the
five separate steps the cost sees only ``y_pred`` and backward only ``dy``; so the network remembers
which array was its last output, and the cost remembers which gradient it gave for it. Both are
recognized by identity, and by their contents too: whoever changes one gets the plain product.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core

if TYPE_CHECKING:
    from mlpkern.activations import Activation
    from mlpkern.losses import Loss
    from mlpkern.maps import Compiled

# Which loss is made for an activation, both by the names of the compiled tables.
_MADE_FOR = {"Sigmoid": "BinaryCrossEntropy", "Softargmax": "CrossEntropy"}


class _Gradient(NamedTuple):
    dy: weakref.ref[NDArray[Any]]
    copy: NDArray[Any]
    compiled: weakref.ref[Compiled]
    y_pred: weakref.ref[NDArray[Any]]
    ds: NDArray[Any]


class _Output(NamedTuple):
    y: weakref.ref[NDArray[Any]]
    compiled: weakref.ref[Compiled]


# Both forget an array when it is gone: the references that notice it are kept here.
_outputs: dict[int, _Output] = {}  # by id of the output
_gradients: dict[int, _Gradient] = {}  # by id of dy

# Whether an array with this id may be an output, before anything that takes longer.
is_output = _outputs.__contains__


def is_one(last: _core.Operation) -> bool:
    """Whether there is a loss made for a network's last operation."""
    kind, _, _, _, name, _ = last
    return kind == "activation" and name in _MADE_FOR


def remember_output(compiled: Compiled, y: NDArray[Any]) -> None:
    """Notes that y is the output of the network's last forward pass."""
    key = id(y)
    compiled.latest = weakref.ref(y, lambda _: _outputs.pop(key, None))
    _outputs[key] = _Output(compiled.latest, weakref.ref(compiled))


class Pair(NamedTuple):
    """A loss by s, and the s that an output came from."""

    loss: _core.Loss
    s: NDArray[Any]
    compiled: Compiled


def find(loss: Loss, y_pred: ArrayLike) -> Pair | None:
    """The stable form of a loss for these predictions, where they are a network's last output."""
    known = _outputs.get(id(y_pred))
    compiled = known.compiled() if known is not None and known.y() is y_pred else None
    if compiled is None or compiled.latest is None or compiled.latest() is not y_pred:
        return None
    _, inputs, output, _, name, parameters = compiled.operations[-1]
    stable = _stable_form(loss, name, parameters)
    if stable is None or not compiled.core.keeps:
        return None
    if not np.array_equal(compiled.core.kept(output), y_pred, equal_nan=True):
        return None  # somebody wrote into it
    return Pair(stable, compiled.core.kept(inputs[0]), compiled)


def _stable_form(loss: Loss, activation: str, parameters: list[float]) -> _core.Loss | None:
    if _MADE_FOR.get(activation) != loss._name:
        return None
    return _core.Loss(
        type(loss).__name__,
        f"{loss._name}WithLogits",
        [*loss._parameters, *parameters],  # beta stands behind label_smoothing
        loss.reduction,
    )


def stable_form(loss: Loss, last: Activation) -> _core.Loss | None:
    """The loss by s that is made for an activation and a loss by its output, or None."""
    return _stable_form(loss, last._name, list(last._parameters.values()))


def remember_gradient(pair: Pair, y_pred: NDArray[Any], dy: NDArray[Any], ds: NDArray[Any]) -> None:
    """Notes that dy is the cost's gradient by a network's output, and ds that by its s."""
    key = id(dy)
    _gradients[key] = _Gradient(
        dy=weakref.ref(dy, lambda _: _gradients.pop(key, None)),
        copy=dy.copy(),
        compiled=weakref.ref(pair.compiled),
        y_pred=weakref.ref(y_pred),
        ds=ds,
    )


def gradient_before_last(compiled: Compiled, dy: ArrayLike) -> NDArray[Any] | None:
    """The gradient by the last activation's input, where dy is known to belong to it."""
    known = _gradients.get(id(dy))
    if (
        known is None
        or known.dy() is not dy
        or known.compiled() is not compiled
        or compiled.latest is None
        or known.y_pred() is None
        or known.y_pred() is not compiled.latest()
        or not np.array_equal(known.copy, dy, equal_nan=True)
    ):
        return None
    return known.ds
