"""The estimators as scikit-learn sees them: its own checks, its own numbers, what surrounds one.

scikit-learn's estimators are the oracle: from the same random_state come the same weights, batches
and splits, and so the same parameters, up to roundings. Adam's epsilon stands elsewhere: with one
of 1e-30 that makes no difference.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

from sklearn import neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

import mlpkern.sklearn
from mlpkern.sklearn import MLPClassifier, MLPRegressor

ESTIMATORS = [
    MLPClassifier(),
    MLPRegressor(),
    MLPClassifier((20, 10), ["tanh", "gelu"], solver="sgd", learning_rate_init=0.05),
    MLPClassifier(20, "logistic", solver="rmsprop", alpha=0.0, n_iter_no_change=5),
    MLPRegressor("huber", (20,), "softplus", solver="adamw", delta=0.5, learning_rate_init=0.01),
    MLPRegressor("quantile", 20, "silu", solver="adagrad", learning_rate_init=0.1),
    MLPRegressor(solver="lbfgs", hidden_layer_sizes=20),
]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# --- scikit-learn's numbers ----------------------------------------------------------------------
def data(name: str) -> tuple[Any, Any]:
    if name == "labels":
        x, y = make_multilabel_classification(120, 8, n_classes=4, random_state=0)
        return scale(x), y
    loaders = {"three": load_iris, "two": load_breast_cancer, "numbers": load_diabetes}
    x, y = loaders[name](return_X_y=True)
    x, y = scale(x[::2]), y[::2]
    return x, y / 100 if name == "numbers" else y


def both(name: str, **arguments: Any) -> tuple[Any, Any]:
    """The estimator and scikit-learn's, with the same arguments."""
    kind = "MLPRegressor" if name == "numbers" else "MLPClassifier"
    arguments = {"activation": "tanh", "hidden_layer_sizes": (7, 5), "max_iter": 4} | arguments
    arguments = {"random_state": 3, "alpha": 0.1, "batch_size": 32, "epsilon": 1e-30} | arguments
    return tuple(getattr(m, kind)(**arguments) for m in (mlpkern.sklearn, neural_network))


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-9) -> None:
    for attribute in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, attribute), getattr(theirs, attribute), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    for attribute in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "t_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert ours.n_features_in_ == theirs.n_features_in_


@pytest.mark.parametrize("name", ["two", "three", "labels", "numbers"])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"shuffle": False, "activation": "logistic"},
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1},
        {"early_stopping": True, "validation_fraction": 0.2},
        {"hidden_layer_sizes": (), "activation": "identity"},
    ],
    ids=lambda a: "-".join(map(str, a.values())) or "default",
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_numbers_are_scikit_learns(name, arguments, weighted):
    x, y = data(name)
    weight = np.random.default_rng(0).integers(0, 4, len(x)) + 0.5 if weighted else None
    ours, theirs = both(name, **arguments)
    ours.fit(x, y, sample_weight=weight)
    theirs.fit(x, y, sample_weight=weight)
    assert_same(ours, theirs)
    # The penalty between steps is taken between the first weights' and the last.
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=5e-3)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-8)
    if name != "numbers":
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_the_costs_are_scikit_learns(loss):
    x, y = data("numbers")
    ours, theirs = both("numbers", alpha=0.0, loss=loss, max_iter=10)
    np.testing.assert_allclose(ours.fit(x, y).loss_curve_, theirs.fit(x, y).loss_curve_, rtol=1e-9)
    assert ours.best_loss_ == min(ours.loss_curve_)


@pytest.mark.parametrize("name", ["two", "three", "labels", "numbers"])
def test_lbfgs_comes_to_where_scikit_learns_does(name):
    x, y = data(name)
    ours, theirs = both(name, solver="lbfgs", max_iter=20)
    ours.fit(x, y)
    theirs.fit(x, y)
    assert_same(ours, theirs, 1e-6)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    assert len(ours.loss_curve_) == ours.n_iter_


def test_partial_fit_and_warm_start_go_on_as_scikit_learns_do():
    x, y = data("three")
    ours, theirs = both("three", solver="sgd", warm_start=True)
    for model in (ours, theirs):
        model.fit(x, y).fit(x, y)
        model.set_params(warm_start=False).partial_fit(x[:50], y[:50]).partial_fit(x, y)
    assert_same(ours, theirs)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) == 10


# --- what surrounds an estimator -----------------------------------------------------------------
def test_a_pipeline_with_a_search():
    x, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), MLPClassifier(10, learning_rate_init=0.01, random_state=0)
    )
    search = GridSearchCV(model, {"mlpclassifier__activation": ["relu", "mish"]}, cv=3)
    assert search.fit(x, y).best_score_ > 0.95
    assert cross_val_score(model, x, y, cv=3).min() > 0.93
    calibrated = CalibratedClassifierCV(model, cv=3).fit(x, y)
    assert calibrated.predict_proba(x).shape == (len(x), 2)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_pickle_goes_on_where_it_was(solver):
    x, y = data("numbers")
    model, _ = both("numbers", solver=solver)
    model.fit(x, y)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    for each in (model, other):
        each.partial_fit(x, y)
    np.testing.assert_array_equal(other.network_.parameters, model.network_.parameters)
    assert not np.shares_memory(other.network_.parameters, model.network_.parameters)
    assert np.shares_memory(other.network_.parameters, other.coefs_[0])


@pytest.mark.parametrize("missing", ["scipy", "sklearn"])
def test_a_missing_library_is_named(missing):
    program = f"import sys; sys.modules[{missing!r}] = None; import mlpkern.sklearn"
    command = [sys.executable, "-c", program]
    error = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert error.endswith(
        f"ImportError: mlpkern.sklearn needs {missing}; install it with: "
        "pip install 'mlpkern[sklearn]'\n"
    )


def test_warnings_are_scikit_learns():
    x, y = data("numbers")
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPRegressor(max_iter=2).fit(x, y)
    with pytest.warns(ConvergenceWarning, match="lbfgs did not converge after 2 iterations"):
        MLPRegressor(max_iter=2, solver="lbfgs").fit(x, y)
    with pytest.warns(UserWarning, match="`batch_size` less than 1 or larger than sample size"):
        MLPRegressor(max_iter=1, batch_size=10_000).fit(x, y)


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("arguments", [{}, {"solver": "lbfgs"}, {"batch_size": 10_000}])
def test_warnings_show_the_line_that_fits(arguments):
    x, y = data("numbers")
    with pytest.warns() as caught:
        MLPRegressor(max_iter=2, **arguments).fit(x, y)
    assert {warning.filename for warning in caught} == {__file__}
    model = MLPRegressor(max_iter=2, batch_size=10_000)
    with pytest.warns(UserWarning, match="`batch_size` less than 1") as caught:
        model.partial_fit(x, y)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_help_has_no_runs_of_spaces(estimator):
    """A line that went on behind a backslash had the next one's indentation within it."""
    assert not re.search(r"\S {2,}", estimator.__doc__)
    named = re.findall(r"^ {4}(\w+(?:, \w+)*)(?: : .*)?$", estimator.__doc__, re.MULTILINE)
    documented = {name for line in named for name in line.split(", ")}
    assert set(estimator().get_params()) <= documented
