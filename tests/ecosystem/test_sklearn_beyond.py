"""What the estimators have beyond scikit-learn's: losses, weights, derivatives, callbacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

from scipy import sparse
from scipy.special import xlogy
from sklearn.model_selection import train_test_split

import mlpkern as mk
from mlpkern.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.normal(size=(150, 4))
    return x, np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.1 * rng.normal(size=150)


def classes(samples: Any, count: int) -> Any:
    y = samples[1]
    return np.digitize(y, np.quantile(y, np.arange(1, count) / count))


def penalty(model: Any) -> float:
    return 0.5 * model.alpha * sum(float((w**2).sum()) for w in model.coefs_)


# --- losses and weights --------------------------------------------------------------------------
def huber(d: Any, delta: float = 0.3) -> Any:
    return np.where(np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2))


LOSSES = {
    "squared_error": lambda y, p: (p - y) ** 2 / 2,
    "absolute_error": lambda y, p: np.abs(p - y),
    "huber": lambda y, p: huber(p - y),
    "quantile": lambda y, p: np.maximum(0.8 * (y - p), 0.2 * (p - y)),
    "poisson": lambda y, p: y * np.log(np.where(y > 0, y, 1) / p) - y + p,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [1, 2])
def test_the_cost_is_that_of_the_predictions(samples, loss, outputs):
    """L-BFGS reports the cost of the weights that it ends with."""
    x = samples[0]
    y = np.abs(np.stack([samples[1], samples[1] ** 2], axis=1))[:, :outputs]
    weight = np.linspace(0, 2, len(x))
    model = MLPRegressor(
        loss, 10, "softplus", solver="lbfgs", alpha=0.3, quantile=0.8, delta=0.3, random_state=0
    )
    model.set_params(max_iter=30).fit(x, y if outputs > 1 else y[:, 0], weight)
    p = model.predict(x).reshape(y.shape)
    costs = LOSSES[loss](y, p).sum(axis=1)
    expected = np.average(costs, weights=weight) + penalty(model) / weight.sum()
    assert model.loss_ == pytest.approx(expected, rel=1e-9)
    assert model.loss_ < 0.8 * model.loss_curve_[0]


def test_a_quantile_is_what_is_predicted(rng):
    x = np.zeros((2001, 1))
    y = rng.normal(size=2001)
    for q in (0.1, 0.5, 0.9):
        model = MLPRegressor("quantile", (), quantile=q, learning_rate_init=0.02, random_state=0)
        model.set_params(alpha=0.0, tol=0.0, max_iter=100, batch_size=2001, solver="adagrad")
        model.set_params(learning_rate_init=0.5).fit(x, y)
        assert np.mean(y <= model.predict(x[:1])) == pytest.approx(q, abs=0.01)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
def test_label_smoothing(samples, count, smoothing):
    x, y = samples[0], classes(samples, count)
    model = MLPClassifier(10, solver="lbfgs", label_smoothing=smoothing, random_state=0)
    model.set_params(max_iter=20).fit(x, y)
    targets = (1 - smoothing) * np.eye(count)[y] + smoothing / count
    cost = -np.mean(np.sum(xlogy(targets, model.predict_proba(x)), axis=1))
    assert model.loss_ == pytest.approx(cost + penalty(model) / len(x), rel=1e-9)


@pytest.mark.parametrize("count", [2, 3, 0])
def test_logarithms_of_probabilities_do_not_end(samples, count):
    """Certain probabilities, 0 and 1 in float64; 0 stands for two labels that exclude none."""
    x = samples[0]
    y = classes(samples, count) if count else np.stack([x[:, 0] > 0, x[:, 1] > 0], axis=1) * 1
    model = MLPClassifier(10, max_iter=5, random_state=0).fit(x, y)
    np.testing.assert_allclose(model.predict_log_proba(x), np.log(model.predict_proba(x)))
    assert model.predict_log_proba(x).dtype == np.float64
    model.coefs_[-1][...] *= 1e4
    log_p = model.predict_log_proba(x)
    assert np.isfinite(log_p).all()
    assert log_p.min() < -1000
    np.testing.assert_array_equal(np.exp(log_p) > 0.5, model.predict_proba(x) > 0.5)


def test_the_layout_of_inputs_does_not_matter(samples):
    x, y = samples
    layouts = (np.array(x), np.asfortranarray(x))
    a, b = (MLPRegressor(max_iter=5, random_state=0).fit(each, y) for each in layouts)
    np.testing.assert_array_equal(a.network_.parameters, b.network_.parameters)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weights_are_weights_of_samples(samples, solver):
    x, y = samples[0], np.array(["few", "many"])[(samples[1] > 0).astype(int)]
    weight = np.where(y == "few", 3.0, 0.5)
    arguments = {"solver": solver, "random_state": 0, "max_iter": 10}
    a = MLPClassifier(class_weight={"few": 3.0, "many": 0.5}, **arguments).fit(x, y)
    b = MLPClassifier(**arguments).fit(x, y, weight)
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))
    balanced = MLPClassifier(class_weight="balanced", **arguments).fit(x, y, np.ones(len(x)))
    by_hand = len(y) / (2 * np.unique(y, return_counts=True)[1][(y == "many").astype(int)])
    b.fit(x, y, by_hand)
    np.testing.assert_allclose(balanced.predict_proba(x), b.predict_proba(x), rtol=1e-12)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_float32_stays_float32(samples, estimator, solver):
    x, y = samples[0].astype(np.float32), classes(samples, 3)
    model = estimator(10, solver=solver) if estimator is MLPClassifier else estimator(solver=solver)
    model.set_params(max_iter=3).fit(x, y)
    assert {a.dtype for a in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    predict = model.predict_proba if estimator is MLPClassifier else model.predict
    assert predict(x).dtype == predict(x.astype(float)).dtype == np.float32
    assert model.jacobian(x).dtype == np.float32


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_inputs_are_the_dense_ones(samples, monkeypatch, solver, kind):
    monkeypatch.setattr("mlpkern.sklearn._solvers.MOST_DENSE", 250)
    monkeypatch.setattr("mlpkern.sklearn._base.MOST_DENSE_ROWS", 40)
    x = np.where(np.abs(samples[0]) > 0.5, samples[0], 0.0)
    arguments = {"solver": solver, "random_state": 0, "max_iter": 5, "batch_size": 32}
    a, b = (MLPRegressor(**arguments).fit(each, samples[1]) for each in (x, kind(x)))
    np.testing.assert_array_equal(a.network_.parameters, b.network_.parameters)
    np.testing.assert_array_equal(a.predict(x), b.predict(kind(x)))
    np.testing.assert_array_equal(a.jacobian(x), b.jacobian(kind(x)))


def test_only_weights_decay(samples):
    """Inputs of zero: the gradient of weights is the penalty's alone; that of biases has none."""
    x = np.zeros_like(samples[0])
    y = np.zeros(len(x))
    model = MLPRegressor(hidden_layer_sizes=(), solver="sgd", alpha=15.0, random_state=0)
    model.set_params(momentum=0.0, max_iter=1, warm_start=True, learning_rate_init=1e-3).fit(x, y)
    w, b = model.coefs_[0].copy(), model.intercepts_[0].copy()
    model.fit(x, y)
    np.testing.assert_allclose(model.coefs_[0], w * (1 - 1e-3 * 15.0 / 150), rtol=1e-12)
    np.testing.assert_allclose(model.intercepts_[0], b * (1 - 1e-3), rtol=1e-12)


# --- stopping, callbacks -------------------------------------------------------------------------
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_early_stopping_restores_the_best(samples, estimator):
    x = samples[0]
    y = classes(samples, 2) if estimator is MLPClassifier else samples[1]
    model = estimator(hidden_layer_sizes=(30,), early_stopping=True, tol=0.0, alpha=0.0)
    model.set_params(n_iter_no_change=5, learning_rate_init=0.05, random_state=7).fit(x, y)
    generator = np.random.RandomState(7)
    for shape in ((4, 30), 30, (30, 1), 1):
        generator.uniform(size=shape)
    stratify = y.astype(bool) if estimator is MLPClassifier else None
    _, held_out, _, y_held_out = train_test_split(
        x, y, test_size=0.1, random_state=generator, stratify=stratify
    )
    assert model.score(held_out, y_held_out) == model.best_validation_score_
    assert model.best_validation_score_ == max(model.validation_scores_)
    best = model.validation_loss_curve_[
        model.validation_scores_.index(max(model.validation_scores_))
    ]
    if estimator is MLPClassifier:
        p = model.predict_proba(held_out)[np.arange(len(held_out)), y_held_out]
        assert best == pytest.approx(-np.mean(np.log(p)))
    else:
        assert best == pytest.approx(np.mean((model.predict(held_out) - y_held_out) ** 2) / 2)
    assert len(model.validation_loss_curve_) == model.n_iter_


class Watch:
    """A callback that counts, and stops in the third epoch."""

    def __init__(self) -> None:
        self.begun, self.ended, self.losses = 0, 0, []

    def begin(self, history: Any) -> None:
        self.begun += 1

    def __call__(self, history: Any) -> bool:
        self.losses = list(history["loss"])
        return history.epochs == 3

    def end(self, history: Any) -> None:
        self.ended += 1


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_ends_training(samples, solver):
    watch = Watch()
    model = MLPRegressor(solver=solver, callbacks=[watch], random_state=0).fit(*samples)
    assert (watch.begun, watch.ended, model.n_iter_) == (1, 1, 3)
    assert watch.losses == model.loss_curve_
    assert len(watch.losses) == 3


def test_callbacks_of_fit_serve_here_too(samples):
    stop = mk.EarlyStopping(patience=3)
    model = MLPRegressor(early_stopping=True, callbacks=[stop], learning_rate_init=0.3)
    model.set_params(random_state=0, n_iter_no_change=math.inf).fit(*samples)
    assert stop.best == min(model.validation_loss_curve_)
    assert model.n_iter_ == stop.best_epoch + 3


def test_an_interrupt_keeps_what_there_is(samples):
    def interrupt(history: Any) -> None:
        if history.epochs == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = MLPRegressor(callbacks=[interrupt]).fit(*samples)
    assert model.n_iter_ == 2


def test_progress_and_verbose(samples, capsys):
    pytest.importorskip("tqdm")
    MLPRegressor(progress=True, verbose=True, max_iter=3, early_stopping=True).fit(*samples)
    captured = capsys.readouterr()
    assert captured.out.count("Iteration") == captured.out.count("Validation score") == 3
    assert "3/3" in captured.err
    MLPRegressor(solver="lbfgs", verbose=True, max_iter=3).fit(*samples)
    assert "Iteration 3, loss = " in capsys.readouterr().out


# --- derivatives ---------------------------------------------------------------------------------
def differences(f: Any, x: Any) -> Any:
    """(n, K, D), central: h = 1e-5 has truncation and rounding of about 1e-10."""
    steps = 1e-5 * np.eye(x.shape[1])
    return np.stack([(f(x + h) - f(x - h)) / 2e-5 for h in steps], axis=2)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_derivatives_of_predictions(samples, loss):
    x, y = samples[0], np.abs(samples[1])
    model = MLPRegressor(loss, 20, "tanh", max_iter=20, random_state=0).fit(x, y)
    expected = differences(lambda at: model.predict(at)[:, None], x)
    np.testing.assert_allclose(model.jacobian(x), expected, atol=1e-8)
    np.testing.assert_allclose(model.gradient(x), expected[:, 0], atol=1e-8)


@pytest.mark.parametrize("count", [2, 3])
def test_derivatives_of_probabilities(samples, count):
    x = samples[0]
    model = MLPClassifier(20, "tanh", max_iter=20, random_state=0).fit(x, classes(samples, count))
    every = differences(model.predict_proba, x)
    np.testing.assert_allclose(model.jacobian(x), every[:, 1:] if count == 2 else every, atol=1e-8)
    if count == 2:
        np.testing.assert_allclose(model.gradient(x), every[:, 1], atol=1e-8)
    else:
        with pytest.raises(ValueError, match="MLPClassifier: gradient needs one output; got 3: "):
            model.gradient(x)


def test_the_network_is_the_one_that_predicts(samples, tmp_path):
    x, y = samples
    model = MLPRegressor(hidden_layer_sizes=20, max_iter=3).fit(x, y)
    mk.save(tmp_path / "net.npz", model.network_)
    np.testing.assert_array_equal(mk.load(tmp_path / "net.npz").predict(x)[:, 0], model.predict(x))
    model.coefs_[-1][...] = 0
    model.intercepts_[-1][...] = 2
    np.testing.assert_array_equal(model.predict(x), np.full(len(x), 2.0))


# --- errors --------------------------------------------------------------------------------------
ERRORS = [
    ({"solver": "lbgfs"}, ValueError, "solver must be one of sgd, adam, adamw, rmsprop, adagrad, "),
    ({"learning_rate": 0.1}, ValueError, "learning_rate must be one of constant, invscaling, "),
    ({"shuffle": 1}, TypeError, "shuffle must be True or False; got 1"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1; got 0"),
    ({"max_fun": 1.5}, TypeError, "max_fun must be an integer; got float"),
    ({"alpha": -1.0}, ValueError, "alpha must be finite and at least 0; got -1.0"),
    ({"epsilon": 0.0}, ValueError, "epsilon must be finite and greater than 0; got 0.0"),
    ({"beta_1": 1.0}, ValueError, "beta_1 must be at least 0 and less than 1; got 1.0"),
    ({"momentum": 1.5}, ValueError, "momentum must be from 0 to 1; got 1.5"),
    ({"batch_size": "all"}, TypeError, "batch_size must be an integer; got str"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1; got 0"),
    ({"callbacks": [3]}, TypeError, "callbacks must be callable; got int"),
    ({"hidden_layer_sizes": (3, 0)}, ValueError, "hidden_layer_sizes must be > 0, got [3, 0]"),
    ({"hidden_layer_sizes": "30"}, TypeError, "hidden_layer_sizes must be integers; got '30'"),
    ({"hidden_layer_sizes": 2.5}, TypeError, "hidden_layer_sizes[0] must be an integer; got float"),
    ({"activation": ["relu"] * 2}, ValueError, "activation must name 1 activations, one a hidden "),
    ({"activation": 3}, TypeError, "activation must be a name, an Activation or a list of them; "),
    ({"loss": "hinge"}, ValueError, "loss must be one of squared_error, absolute_error, huber, "),
    ({"delta": 0}, ValueError, "delta must be finite and greater than 0; got 0.0"),
    ({"quantile": 1}, ValueError, "quantile must be between 0 and 1; got 1.0"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), ERRORS, ids=lambda e: str(e)[:40])
def test_a_wrong_parameter_is_named(samples, arguments, kind, text):
    with pytest.raises(kind) as error:
        MLPRegressor(**arguments).fit(*samples)
    assert str(error.value).startswith(f"MLPRegressor: {text}")


def test_what_does_not_fit_the_fit_before(samples):
    x, y = samples
    model = MLPRegressor(hidden_layer_sizes=5, warm_start=True, max_iter=1).fit(x, y)
    with pytest.raises(ValueError, match=r"sizes \[4, 5, 1\], .*; got \[4, 6, 1\], ReLU"):
        model.set_params(hidden_layer_sizes=6).fit(x, y)
    with pytest.raises(ValueError, match="y must have 1 outputs, as in the fit before; got 2"):
        model.partial_fit(x, np.stack([y, y], axis=1))
    model = MLPClassifier(max_iter=1).fit(x, y > 0)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        model.partial_fit(x, classes(samples, 3) + 5)


def test_other_errors(samples):
    x, y = samples
    with pytest.raises(ValueError, match=r"y must be at least 0 for loss='poisson'; got -"):
        MLPRegressor("poisson").fit(x, y)
    with pytest.raises(ValueError, match=r"label_smoothing must be from 0 to 1; got 2\.0"):
        MLPClassifier(label_smoothing=2.0).fit(x, y > 0)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e9, max_iter=50).fit(x, y)
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        MLPRegressor().fit(x, y, np.zeros(len(x)))
    with pytest.raises(ValueError, match="partial_fit must have class_weight as a dict"):
        MLPClassifier(class_weight="balanced").partial_fit(x, y > 0, classes=[False, True])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(x, y > 0)
    with pytest.raises(AttributeError, match="MLPRegressor is not fitted yet"):
        MLPRegressor().coefs_  # noqa: B018
