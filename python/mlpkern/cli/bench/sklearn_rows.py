"""The rows of the group `sklearn`: estimators with their defaults, on data that people know.

Both sides run the same number of epochs (tol=0 and a patience without end), from the same initial
weights, in the same batches. A quarter of the samples is held out; they are scaled as usual.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpkern.datasets.idx import read_idx

if TYPE_CHECKING:
    from .cases import Case
    from .peers import Prepared

EPOCHS = 50
MNIST = Path("../shared/data/mnist")
MNIST_ROWS, HELD_OUT = 5000, 0.25

# Samples: the estimator, the widths of its default network, and the samples that it is fitted to.
ROWS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "digits": ("MLPClassifier", (64, 100, 10), 1347),
    "breast cancer": ("MLPClassifier", (30, 100, 1), 426),
    "diabetes": ("MLPRegressor", (10, 100, 1), 331),
    "MNIST": ("MLPClassifier", (784, 100, 10), MNIST_ROWS),
}


def rows(quick: bool) -> Iterator[tuple[str, tuple[int, ...], int, str]]:
    """Yield what, widths, samples, dtype: float64, as scikit-learn has them, and float32."""
    for dtype in ("float64", "float32"):
        for what, (_, widths, n) in ROWS.items():
            if not (what == "MNIST" and (quick or left_out())):
                yield what, widths, n, dtype


def left_out() -> str:
    """Return what is not measured, and why."""
    return "" if MNIST.is_dir() else f"left out: MNIST, which is not in {MNIST}"


def fitted(module: Any, case: Case) -> Prepared:
    """Return the fit of an estimator of a module that is scikit-learn's or like it."""
    import sklearn

    from .peers import Prepared

    sklearn.set_config(assume_finite=True)
    warnings.simplefilter("ignore")  # that so few epochs have not converged
    x, y, x_held_out, y_held_out = samples(case.what)
    x, x_held_out = x.astype(case.dtype), x_held_out.astype(case.dtype)
    estimator = getattr(module, ROWS[case.what][0])
    arguments = {"max_iter": EPOCHS, "tol": 0.0, "n_iter_no_change": math.inf, "random_state": 0}

    def run() -> Any:
        return estimator(**arguments).fit(x, y)

    def score(model: Any) -> float:
        return float(model.score(x_held_out, y_held_out))

    return Prepared(run, lambda _: (), score=score)


@functools.cache
def samples(what: str) -> tuple[Any, Any, Any, Any]:
    """Return x and y to fit, x and y held out."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    if what == "MNIST":
        x, y, more_x, more_y = (
            read_idx(MNIST / f"{part}-{kind}.gz")
            for part in ("train", "t10k")
            for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        x, more_x = (a.reshape(len(a), -1) / 255.0 for a in (x[:MNIST_ROWS], more_x))
        return x, y[:MNIST_ROWS], more_x, more_y
    load = getattr(datasets, f"load_{what.replace(' ', '_')}")
    x, y = load(return_X_y=True)
    if what == "diabetes":
        y = (y - np.mean(y)) / np.std(y)
    x, more_x, y, more_y = train_test_split(x, y, test_size=HELD_OUT, random_state=0)
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), y, scaler.transform(more_x), more_y
