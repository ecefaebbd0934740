"""From a table to what a network is trained on: parts, numbered classes, how columns are scaled."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlpkern.models import Standardize

from .table import Table


@dataclass(frozen=True)
class Dataset:
    """What a network is trained and tested on.

    Attributes
    ----------
    x_train, x_test : (n, D) as the source has them, but float32, or float64 where float32 would
        move a number of a column, or a target, by over a thousandth of the column's deviation
    y_train, y_test : (n,) int64, the numbers of the classes; or (n, K) float64
    classes : the classes' names, in the order of their numbers; None for a regression
    x_scaling, y_scaling : what standardizes inputs and targets; None where they stay as they are
    columns : the inputs' names, or ()
    target : the target's name
    categories : of each column of text, those of its categories that the training part has
    unseen : how many rows of the test part have one that it lacks: their inputs for it are all 0
    """

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    classes: tuple[str, ...] | None
    x_scaling: Standardize | None
    y_scaling: Standardize | None
    columns: tuple[str, ...] = ()
    target: str = "y"
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unseen: int = 0

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

    Nothing is scaled yet. `x_scaling` divides bytes by 255. Inputs that lie in [-1, 1] are to stay
    as they are where they have no column names; all others get mean 0 and deviation 1, as measured
    on the training part, and so do the targets of a regression. The zeros and ones of categories
    stay as they are.

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
    seen, ones, categories = _seen(table, x)
    unseen = int(x_test[:, ~seen].any(axis=1).sum())
    if not seen.all():  # or else it would be a copy of all the data
        x, x_test = x[:, seen], x_test[:, seen]
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
        if not (np.isfinite(y).all() and np.isfinite(y_test).all()):
            raise ValueError("the targets of a regression must be finite")
    x_scaling = _scaling(x, bool(table.columns), ones[seen])
    y_scaling = Standardize.of(y) if names is None else None
    fits = _fit_float32(x, x_scaling) and _fit_float32(y, y_scaling)
    dtype = np.float32 if fits else np.float64
    return Dataset(
        x.astype(dtype),
        y,
        x_test.astype(dtype),
        y_test,
        names,
        x_scaling,
        y_scaling,
        table.columns,
        table.target,
        categories,
        unseen,
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


def _seen(
    table: Table, x: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], dict[str, tuple[str, ...]]]:
    """Return which inputs to keep, which are categories; the categories that the rows x have."""
    seen, ones = np.ones(x.shape[1], bool), np.zeros(x.shape[1], bool)
    categories: dict[str, tuple[str, ...]] = {}
    place = 0
    for name in table.columns:
        known = table.categories.get(name)
        here = slice(place, place + (1 if known is None else len(known)))
        if known is not None:
            ones[here] = True
            seen[here] = x[:, here].any(axis=0)
            categories[name] = tuple(itertools.compress(known, seen[here]))
        place = here.stop
    return seen, ones, categories


def _scaling(x: NDArray[Any], named: bool, ones: NDArray[np.bool_]) -> Standardize | None:
    if x.dtype == np.uint8:
        return Standardize(np.zeros(x.shape[1]), np.full(x.shape[1], 255.0))
    if not named and x.size and np.abs(x).max() <= 1:
        return None
    measured = Standardize.of(x)
    if not ones.any():
        return measured
    return Standardize(np.where(ones, 0.0, measured.mean), np.where(ones, 1.0, measured.scale))


def _fit_float32(x: NDArray[Any], scaling: Standardize | None) -> bool:
    """Whether float32 keeps three digits of what columns differ by: a date in seconds has none."""
    if scaling is None:
        return True
    with np.errstate(over="ignore"):
        moved = np.abs(x - x.astype(np.float32).astype(np.float64))
    return bool((moved <= 1e-3 * np.abs(scaling.scale)).all())
