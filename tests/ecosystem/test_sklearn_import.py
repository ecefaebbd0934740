"""scikit-learn's estimators as networks: the numbers of predict and predict_proba."""

import numpy as np
import pytest

import mlpkern as mk

pytest.importorskip("sklearn")

from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
)
FEW = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0}


def classes(n):
    return make_classification(
        n_samples=60, n_features=5, n_informative=5, n_redundant=0, n_classes=n, random_state=0
    )


def targets(K, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(dtype)
    y = rng.normal(size=(60, K)).astype(dtype)
    return x, y if K > 1 else y[:, 0]


def assert_alike(net, x, expected):
    actual = net.predict(x)
    assert actual.dtype == x.dtype
    assert not np.shares_memory(actual, expected)
    tolerance = 1e-6 if x.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(actual, expected.reshape(actual.shape), tolerance, tolerance)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("K", [1, 3])
def test_regressors(activation, K, dtype):
    x, y = targets(K, dtype)
    estimator = MLPRegressor(activation=activation, **FEW).fit(x, y)
    net = mk.from_sklearn(estimator)
    assert net.dtype == dtype
    assert_alike(net, x, estimator.predict(x))
    assert not np.shares_memory(net.parameters, estimator.coefs_[0])


def test_classifiers_of_two_classes():
    x, y = classes(2)
    estimator = MLPClassifier(**FEW).fit(x, y)
    net = mk.from_sklearn(estimator)
    assert_alike(net, x, estimator.predict_proba(x)[:, 1].copy())
    labels = estimator.classes_[(net.predict(x)[:, 0] > 0.5).astype(int)]
    np.testing.assert_array_equal(labels, estimator.predict(x))


def test_classifiers_of_more_classes():
    x, y = classes(4)
    estimator = MLPClassifier(activation="tanh", **FEW).fit(x, y)
    net = mk.from_sklearn(estimator)
    assert_alike(net, x, estimator.predict_proba(x))
    labels = estimator.classes_[net.predict(x).argmax(axis=1)]
    np.testing.assert_array_equal(labels, estimator.predict(x))


def test_classifiers_of_several_labels():
    x, y = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
    estimator = MLPClassifier(**FEW).fit(x, y)
    assert_alike(mk.from_sklearn(estimator), x, estimator.predict_proba(x))


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), Lasso(0.01)], ids=repr)
@pytest.mark.parametrize("K", [1, 3])
def test_linear_models(estimator, K):
    x, y = targets(K)
    estimator.fit(x, y)
    assert_alike(mk.from_sklearn(estimator), x, estimator.predict(x))


def test_a_linear_model_without_intercept():
    x, y = targets(2)
    estimator = LinearRegression(fit_intercept=False).fit(x, y)
    assert_alike(mk.from_sklearn(estimator), x, estimator.predict(x))


@pytest.mark.parametrize("n", [2, 3])
def test_logistic_regression(n):
    x, y = classes(n)
    estimator = LogisticRegression().fit(x, y)
    expected = estimator.predict_proba(x)
    assert_alike(mk.from_sklearn(estimator), x, expected[:, 1].copy() if n == 2 else expected)


def test_another_dtype():
    x, y = targets(1)
    estimator = MLPRegressor(**FEW).fit(x, y)
    net = mk.from_sklearn(estimator, dtype=np.float32)
    assert net.dtype == np.float32
    expected = estimator.predict(x)[:, None]
    np.testing.assert_allclose(net.predict(x.astype(np.float32)), expected, 1e-5, 1e-5)


@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}])
def test_a_pipeline_with_a_scaler(options):
    x, y = targets(2)
    estimator = make_pipeline(StandardScaler(**options), MLPRegressor(**FEW))
    estimator.fit(3 * x + 5, y)
    net = mk.from_sklearn(estimator)
    assert_alike(net, 3 * x + 5, estimator.predict(3 * x + 5))


@pytest.mark.parametrize(
    ("estimator", "error", "text"),
    [
        (MLPClassifier(), ValueError, r"estimator must be fitted; got MLPClassifier\(\)"),
        (Ridge(), ValueError, r"estimator must be fitted; got Ridge\(\)"),
        (LinearSVC(), TypeError, "estimator must be an MLPClassifier, .*; got LinearSVC"),
        (3, TypeError, "estimator must be an MLPClassifier, .*; got int"),
    ],
)
def test_what_is_refused(estimator, error, text):
    with pytest.raises(error, match=f"from_sklearn: {text}"):
        mk.from_sklearn(estimator)


def test_other_steps_are_refused():
    x, y = targets(2)
    estimator = make_pipeline(PCA(2), LinearRegression()).fit(x, y)
    with pytest.raises(TypeError, match="steps before the last must be StandardScaler; got PCA"):
        mk.from_sklearn(estimator)


def test_a_missing_library_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.pipeline", None)
    with pytest.raises(ImportError, match=r"install it with: pip install 'mlpkern\[sklearn\]'"):
        mk.from_sklearn(3)
