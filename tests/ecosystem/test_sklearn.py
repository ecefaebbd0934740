"""The estimators as scikit-learn sees them: its own checks, and what surrounds an estimator."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

from sklearn.utils.estimator_checks import parametrize_with_checks

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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
