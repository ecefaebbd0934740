"""Networks from fitted scikit-learn estimators: multilayer perceptrons and linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import mlpkern as mk
from mlpkern.formats._common import library
from mlpkern.layers import checked_dtype
from mlpkern.maps import Map

__all__ = ["from_sklearn"]

_ACTIVATIONS = {
    "identity": "Identity",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "softmax": "Softargmax",
    "exp": "Exp",
}
_LINEAR = ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV")


def from_sklearn(estimator: Any, *, dtype: DTypeLike | None = None) -> Map:
    """Return the network of a fitted estimator, with copies of its weights.

    The network gives what `predict` of a regressor gives, as (n, K) where that gives (n,), and what
    `predict_proba` of a classifier gives: (n, K) for K classes or K labels, (n, 1) for two classes,
    the probability of ``classes_[1]``.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor (also mlpkern's), LinearRegression, Ridge, Lasso,
        ElasticNet, LogisticRegression, or a Pipeline of a StandardScaler and one of them
    dtype : {float32, float64}, optional
        By default that of the weights.

    Raises
    ------
    ImportError
        scikit-learn is not installed.
    TypeError
        It is none of these.
    ValueError
        It is not fitted.
    """
    pipeline = library("from_sklearn", "sklearn.pipeline")
    wanted = None if dtype is None else checked_dtype("from_sklearn", dtype)
    steps: list[Any] = [estimator]
    if isinstance(estimator, pipeline.Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    own = getattr(steps[-1], "network_", None)  # of an estimator of mlpkern.sklearn
    if isinstance(own, Map):
        network = mk.from_config(own.config(), wanted or own.parameters.dtype)
        network.parameters[...] = own.parameters
        return mk.Chain(*(_standardize(step) for step in steps[:-1]), network)
    layers = _layers(steps[-1])
    kind = wanted or np.result_type(*(w for w, _, _ in layers))
    maps: list[Map] = [_standardize(step) for step in steps[:-1]]
    for w, b, f in layers:
        linear = mk.Linear(w.shape[0], w.shape[1], dtype=kind)
        linear.w, linear.b = w, b
        maps += [linear, mk.activation(_ACTIVATIONS[f])]
    return mk.Chain(*maps)


def _layers(estimator: Any) -> list[tuple[Any, Any, str]]:
    """The weights (D, L), biases (L,) and activations of an estimator."""
    networks = library("from_sklearn", "sklearn.neural_network")
    models = library("from_sklearn", "sklearn.linear_model")
    if isinstance(estimator, networks.MLPClassifier | networks.MLPRegressor):
        weights, biases = (_fitted(estimator, name) for name in ("coefs_", "intercepts_"))
        behind = [estimator.activation] * (len(weights) - 1) + [estimator.out_activation_]
        return list(zip(weights, biases, behind, strict=True))
    logistic = isinstance(estimator, models.LogisticRegression)
    if not logistic and not isinstance(estimator, tuple(getattr(models, n) for n in _LINEAR)):
        raise TypeError(
            "from_sklearn: estimator must be an MLPClassifier, MLPRegressor or linear model; "
            f"got {type(estimator).__name__}"
        )
    w = np.atleast_2d(_fitted(estimator, "coef_")).T
    b = np.broadcast_to(np.atleast_1d(estimator.intercept_), w.shape[1:])
    classifies = "softmax" if w.shape[1] > 1 else "logistic"
    return [(w, b, classifies if logistic else "identity")]


def _fitted(estimator: Any, name: str) -> Any:
    if not hasattr(estimator, name):
        raise ValueError(f"from_sklearn: estimator must be fitted; got {estimator!r}")
    return getattr(estimator, name)


def _standardize(step: Any) -> Map:
    """The map of a step before the last."""
    preprocessing = library("from_sklearn", "sklearn.preprocessing")
    if not isinstance(step, preprocessing.StandardScaler):
        raise TypeError(
            f"from_sklearn: steps before the last must be StandardScaler; got {type(step).__name__}"
        )
    D = _fitted(step, "n_features_in_")
    mean = step.mean_ if step.with_mean else np.zeros(D)
    scale = step.scale_ if step.with_std else np.ones(D)
    made: Map = mk.Standardize(mean, scale)
    return made
