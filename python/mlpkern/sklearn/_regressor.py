"""A multilayer perceptron that predicts numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

import mlpkern as mk
from mlpkern._arguments import number
from mlpkern.sklearn import _settings
from mlpkern.sklearn._base import MultilayerPerceptron
from mlpkern.sklearn._network import Samples

LOSSES = ("squared_error", "absolute_error", "huber", "poisson", "quantile")
NEVER = 1e150  # where the square of a Huber loss ends: d^2/2 of every d that is not lost anyway


class MLPRegressor(RegressorMixin, MultilayerPerceptron):  # type: ignore[misc]
    """scikit-learn's ``MLPRegressor``, trained by mlpkern.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson", "quantile"}
        The sum over the outputs of d^2/2 (scikit-learn reports its mean), of abs(d), of Huber's
        or the pinball loss of d = prediction - y; or Poisson's deviance, halved.
    hidden_layer_sizes : sequence of int
        Units of each hidden layer.
    activation : str, Activation, or a list of them
        Behind the hidden layers: "identity", "logistic", "tanh", "relu", or any other that mlpkern
        has; a list has one a layer.
    solver : {"adam", "sgd", "lbfgs", "adamw", "rmsprop", "adagrad"}
        The first three as scikit-learn has them. Of "rmsprop", ``beta_2`` is the share of the past.
    alpha : float
        To the cost of a batch comes ``alpha/2 sum w^2``, biases apart, over the sum of its samples'
        weights. With "adamw" it is the decoupled decay: ``w *= 1 - learning_rate alpha``.
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, max_fun, tol, n_iter_no_change
        As scikit-learn has them.
    momentum, nesterovs_momentum, early_stopping, validation_fraction, verbose, warm_start
        As scikit-learn has them.
    shuffle, random_state, beta_1, beta_2, epsilon
        As scikit-learn has them. The same ``random_state`` gives the initial weights, batches and
        split that it gives there. "adam" adds ``epsilon`` where its paper does, behind the
        correction of v.
    quantile : float
        The one that loss="quantile" predicts, between 0 and 1.
    delta : float
        Where the square of loss="huber" ends.
    callbacks : sequence of callables, optional
        As :func:`mlpkern.fit` takes them: each is called with the history after every epoch, and
        training ends when one returns True.
    progress : bool
        Show a bar (needs tqdm).

    Attributes
    ----------
    network_ : mlpkern.MLP
        What was trained: to freeze, to save, to differentiate.
    validation_loss_curve_ : list of float, or None
        With early stopping, the cost of the samples set aside, beside ``validation_scores_``.
    coefs_, intercepts_ : list of array
        Views of the network's parameters.
    n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As scikit-learn has them.
    n_iter_, t_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_
        As scikit-learn has them.
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        quantile: float = 0.5,
        delta: float = 1.0,
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        _settings.take(self, locals())

    def _check_own(self) -> None:
        _settings.one_of("MLPRegressor", "loss", self.loss, LOSSES)
        number("MLPRegressor", "delta", self.delta, 0.0, open_=True)
        level = number("MLPRegressor", "quantile", self.quantile)
        if not 0 < level < 1:
            raise ValueError(f"MLPRegressor: quantile must be between 0 and 1; got {level}")

    def _loss(self) -> mk.Loss:
        if self.loss == "absolute_error":
            return mk.AbsoluteError()
        if self.loss == "quantile":
            return mk.Quantile(self.quantile)
        if self.loss == "poisson":
            return mk.PoissonNLL()
        return mk.Huber(self.delta if self.loss == "huber" else NEVER)

    def _validated(
        self, X: Any, y: Any, weight: Any, first: bool, incremental: bool
    ) -> tuple[Samples, NDArray[Any] | None]:
        dtype = (np.float64, np.float32) if first else self.network_.dtype
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
            dtype=dtype,
            reset=first,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"MLPRegressor: y must be at least 0 for loss='poisson'; got {y.min()}"
            )
        targets = np.ascontiguousarray(y.reshape(len(y), -1), X.dtype)
        if not first and targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"MLPRegressor: y must have {self.n_outputs_} outputs, as in the fit before; "
                f"got {targets.shape[1]}"
            )
        self.n_outputs_ = targets.shape[1]
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        return self._samples(X, targets, weight), None

    def _validation_score(self, samples: Samples) -> float:
        y = self._outputs(samples.x)
        if not np.isfinite(y).all():
            return float("nan")
        return float(r2_score(samples.y, y, sample_weight=samples.weight))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The predictions.

        Parameters
        ----------
        X : array or sparse matrix, shape (n, D)

        Returns
        -------
        y : array, shape (n,) or (n, K)
            In the dtype of the network.
        """
        y = self._outputs(self._inputs(X))
        return y.ravel() if y.shape[1] == 1 else y

    @available_if(_settings.is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """One epoch on samples, from where the network is; arguments as in :meth:`fit`."""
        return self._fit(X, y, sample_weight, incremental=True)
