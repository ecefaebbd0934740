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
from mlpkern.sklearn._base import MultilayerPerceptron, is_stochastic, take
from mlpkern.sklearn._network import Samples

LOSSES = ("squared_error", "absolute_error", "huber", "poisson", "quantile")
NEVER = 1e150  # where the square of a Huber loss ends: d^2/2 of every d that is not lost anyway


class MLPRegressor(RegressorMixin, MultilayerPerceptron):  # type: ignore[misc]
    """As scikit-learn's MLPRegressor."""

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
        take(self, locals())

    def _check_own(self) -> None:
        _settings.one_of("MLPRegressor", "loss", self.loss, LOSSES)
        number("MLPRegressor", "delta", self.delta, 0.0, open_=True)
        mk.Quantile(self.quantile) if self.loss == "quantile" else None

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

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """One epoch on samples, from where the network is; arguments as in :meth:`fit`."""
        return self._fit(X, y, sample_weight, incremental=True)
