"""From a table to what a network is trained on: parts, numbered classes, scaled inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .table import Table


@dataclass(frozen=True)
class Scaling:
    """The map x -> (x - shift)/scale; both are numbers, or arrays (D,) for D columns."""

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def constant(cls, scale: float) -> "Scaling":
        """Return the division by `scale`."""
        return cls(np.float64(0.0) * np.ones(()), np.asarray(scale, np.float64))

    @classmethod
    def standard(cls, x: NDArray[Any]) -> "Scaling":
        """Return what gives each column of `x` (n, D) mean 0 and deviation 1.

        A column that never changes is only shifted.
        """
        deviation = np.std(x, axis=0, dtype=np.float64)
        return cls(np.mean(x, axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0))

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scaled `x`, as float32."""
        if self.shift.ndim == 0 and x.dtype == np.uint8:  # exact: no float64 copy of the images
            scaled: NDArray[np.float32] = np.divide(x, np.float32(self.scale), dtype=np.float32)
            return scaled
        return ((x - self.shift) / self.scale).astype(np.float32)

    def invert(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return what `apply` made `x` of, as float64."""
        return np.asarray(x * self.scale + self.shift, np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return both numbers or lists."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Scaling":
        """Return the scaling that `to_json` wrote; ValueError for anything else."""
        try:
            shift = np.asarray(data["shift"], np.float64)
            scale = np.asarray(data["scale"], np.float64)
        except (KeyError, TypeError, ValueError):
            raise ValueError("a scaling must have a shift and a scale, both numbers") from None
        if shift.shape != scale.shape and shift.ndim and scale.ndim:
            raise ValueError(
                f"shift and scale must agree in shape, not {shift.shape} and {scale.shape}"
            )
        return cls(shift, scale)


@dataclass(frozen=True)
class Dataset:
    """What a network is trained and tested on.

    Attributes
    ----------
    x_train, x_test : (n, D) float32, scaled
    y_train, y_test : (n,) int64, the numbers of the classes; or (n, K) float64 in their own units
    classes : the classes' names, in the order of their numbers; None for a regression
    scaling : what was done to the inputs
    columns : the inputs' names, or ()
    target : the target's name
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[Any]
    x_test: NDArray[np.float32]
    y_test: NDArray[Any]
    classes: tuple[str, ...] | None
    scaling: Scaling
    columns: tuple[str, ...] = ()
    target: str = "y"

    @property
    def task(self) -> Literal["classification", "regression"]:
        """What is to be learned."""
        return "regression" if self.classes is None else "classification"


def prepare(
    table: Table,
    task: Literal["auto", "classification", "regression"] = "auto",
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Return the table's samples, ready for training.

    Bytes are divided by 255. Inputs that lie in [-1, 1] are left as they are where they have no
    column names; all others get mean 0 and deviation 1, as measured on the training part.

    Parameters
    ----------
    table : what a reader returned, with targets
    task : auto takes text for classes, and whole numbers too if there are at most 10 different
        ones, or one in ten samples
    test_fraction : the share of the samples to hold out where the source has no test part
    seed : chooses the samples to hold out

    Raises
    ------
    ValueError
        There are no targets, or they do not fit the task, or a part would be empty.
    """
    if table.y is None or (table.x_test is not None and table.y_test is None):
        raise ValueError("training and testing need targets, and the data has none")
    x, y, x_test, y_test = table.x, table.y, table.x_test, table.y_test
    if x_test is None or y_test is None:
        held_out, rest = _split(len(x), test_fraction, seed)
        x, y, x_test, y_test = x[rest], y[rest], x[held_out], y[held_out]
    if not len(x) or not len(x_test):
        raise ValueError(
            f"training and test part need at least one row each, not {len(x)} and {len(x_test)}"
        )
    targets = np.concatenate([y, y_test])
    if task == "auto":
        task = "classification" if _are_classes(targets) else "regression"
    names = None
    if task == "classification":
        names, numbers = _classes(targets)
        y, y_test = numbers[: len(y)], numbers[len(y) :]
    elif targets.dtype.kind not in "fiub":
        raise ValueError(f"a regression needs numbers as targets, not {str(targets[0])!r}")
    else:
        y, y_test = (np.asarray(t, np.float64).reshape(len(t), -1) for t in (y, y_test))
    scaling = _scaling(x, bool(table.columns))
    return Dataset(
        scaling.apply(x),
        y,
        scaling.apply(x_test),
        y_test,
        names,
        scaling,
        table.columns,
        table.target,
    )


def _split(n: int, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to hold out and the others, each in ascending order."""
    if not 0 < fraction < 1:
        raise ValueError(f"the test fraction must be in (0, 1), not {fraction}")
    order = np.random.default_rng(seed).permutation(n)
    count = min(max(round(n * fraction), 1), n)
    return np.sort(order[:count]), np.sort(order[count:])


def _are_classes(y: NDArray[Any]) -> bool:
    if y.dtype.kind not in "fiub":
        return True
    if y.ndim > 1 or (y.dtype.kind == "f" and not np.equal(y, np.round(y)).all()):
        return False
    return len(np.unique(y)) <= max(10, len(y) // 10)


def _classes(y: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the classes, sorted, and the class of each sample."""
    if y.ndim > 1:
        raise ValueError(f"classes must have shape (n,), not {y.shape}")
    values, numbers = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"a classification needs two classes or more, and all are {values[0]}")
    if values.dtype.kind == "f":
        if not np.equal(values, np.round(values)).all():
            raise ValueError(
                "classes must be text or whole numbers; --task regression learns others"
            )
        return tuple(str(int(value)) for value in values), numbers.astype(np.int64)
    return tuple(str(value) for value in values), numbers.astype(np.int64)


def _scaling(x: NDArray[Any], named: bool) -> Scaling:
    if x.dtype == np.uint8:
        return Scaling.constant(255.0)
    if not named and x.size and np.abs(x).max() <= 1:
        return Scaling.constant(1.0)
    return Scaling.standard(x)
