"""scikit-learn: partial_fit on one batch, and predict, for the networks that it has."""

import warnings
from functools import partial
from typing import Any

import numpy as np
from sklearn import __version__, neural_network, set_config
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .. import sklearn_rows
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared


def start(threads: int) -> str:
    """Leave out the search for NaN; return the version. BLAS has its threads already."""
    set_config(assume_finite=True)
    warnings.simplefilter("ignore")  # that one step has not converged
    return str(__version__)


def _model(data: Problem, solver: str, batch: int, lr: float) -> tuple[Any, Any]:
    """Return a model with the problem's parameters, and y as the model takes it."""
    case = data.case
    classifier = case.output == "softargmax"
    # Its epsilon stands before the correction of v, and its squared error is half of ours.
    epsilon = 1e-8 * 0.001**0.5 * (1.0 if classifier else 0.5)
    model = (MLPClassifier if classifier else MLPRegressor)(
        hidden_layer_sizes=case.sizes[1:-1],
        activation=case.hidden,
        solver=solver.lower(),
        alpha=0.0,
        batch_size=batch,
        learning_rate_init=lr,
        momentum=0.0,
        nesterovs_momentum=False,
        epsilon=epsilon,
    )
    y = data.y.ravel() if case.sizes[-1] == 1 else data.y
    if classifier:
        model.partial_fit(data.x[:batch], y[:batch], classes=np.arange(case.sizes[-1]))
    else:
        model.partial_fit(data.x[:batch], y[:batch])
    for (w, b), coefs, intercepts in zip(data.layers, model.coefs_, model.intercepts_, strict=True):
        coefs[...], intercepts[...] = w, b
    del model._optimizer  # the next step makes a new one
    return model, y


def step(data: Problem) -> Prepared:
    """partial_fit on one batch. Its squared error is half of ours, a mean over the outputs too."""
    case = data.case
    halved = case.what == "SGD" and case.output == "identity"
    model, y = _model(data, case.what, case.rows, 2 * LR if halved else LR)

    def change() -> Any:
        layers = zip(model.coefs_, model.intercepts_, strict=True)
        return np.concatenate([a.ravel() for layer in layers for a in layer]) - data.p

    def settle() -> None:
        model.learning_rate_init = model._optimizer.learning_rate_init = SETTLED_LR

    return Prepared(partial(model.partial_fit, data.x, y), lambda _: (change(),), settle)


def inference(data: Problem) -> Prepared:
    """predict, or predict_proba."""
    model, _ = _model(data, "adam", min(data.case.rows, 100), LR)
    predict = model.predict if data.case.output == "identity" else model.predict_proba
    shape = (data.case.rows, data.case.sizes[-1])
    return Prepared(partial(predict, data.x), lambda y: (y.reshape(shape),))


memory = call = inference


def epoch(data: Problem) -> Prepared:
    """partial_fit on all rows: one epoch over shuffled batches."""
    model, y = _model(data, "adam", 128, 1e-3)
    return Prepared(partial(model.partial_fit, data.x, y), lambda _: ())


def sklearn(data: Problem) -> Prepared:
    """A fit of an estimator with its default settings."""
    return sklearn_rows.fitted(neural_network, data.case)
