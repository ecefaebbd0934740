"""What the classifier and the regressor share: fitting, predicting, derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import mlpkern as mk
from mlpkern.sklearn import _lbfgs, _settings, _stochastic
from mlpkern.sklearn._network import Objective, Samples, network
from mlpkern.sklearn._solvers import Solver

MOST_DENSE_ROWS = 4096  # of a sparse X that are made dense at a time


class MultilayerPerceptron(BaseEstimator):  # type: ignore[misc]
    """The base of both estimators; a subclass says what y is and which loss goes with it."""

    # What a subclass's __init__ takes, beside its own.
    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    max_iter: int
    max_fun: int
    tol: float
    random_state: Any
    n_outputs_: int
    out_activation_: str
    verbose: Any
    warm_start: bool
    early_stopping: bool

    # --- what a subclass says -------------------------------------------------------------------
    def _check_own(self) -> None:
        """Raises where a parameter of the subclass is wrong."""
        raise NotImplementedError

    def _validated(
        self, X: Any, y: Any, weight: Any, first: bool, incremental: bool
    ) -> tuple[Samples, NDArray[Any] | None]:
        """X, y and weights as they are trained on; what a validation split is stratified by."""
        raise NotImplementedError

    def _loss(self) -> mk.Loss:
        """The loss of `network_`'s output."""
        raise NotImplementedError

    def _validation_score(self, samples: Samples) -> float:
        """The score of samples with encoded targets."""
        raise NotImplementedError

    # --- fitting --------------------------------------------------------------------------------
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Any:
        """Fits the network to samples.

        Parameters
        ----------
        X : array or sparse matrix, shape (n, D)
            float32 is trained in float32, everything else in float64. A sparse X is made dense
            some batches at a time.
        y : array, shape (n,) or (n, K)
        sample_weight : array, shape (n,), optional
            A sample counts so many times.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        self._check()
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "network_") or not (self.warm_start or incremental)
        samples, classes = self._validated(X, y, sample_weight, first, incremental)
        random_state = check_random_state(self.random_state)
        self._prepare(samples, random_state, first)
        alpha = 0.0 if self.solver == "adamw" else float(self.alpha)
        objective = Objective(self.network_, self._loss(), alpha)
        if self.solver == "lbfgs":
            self._fit_lbfgs(objective, samples)
        else:
            if not incremental or not hasattr(self, "_optimizer"):
                self._optimizer = Solver(self, self.network_)
            kept, held_out = _stochastic.split(self, samples, random_state, classes)
            training = _stochastic.Training(
                self, objective, self._optimizer, kept, held_out, random_state
            )
            training.run(1 if incremental else self.max_iter, not incremental)
        if not np.isfinite(self.network_.parameters).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        return self

    def _check(self) -> None:
        _settings.check(type(self).__name__, self.get_params(deep=False))
        self._check_own()

    def _samples(self, X: Any, y: NDArray[Any], weight: Any) -> Samples:
        if weight is not None:
            weight = _check_sample_weight(weight, X, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise ValueError("sample_weight must not be 0 for all samples: they sum to zero")
        x = np.ascontiguousarray(X) if isinstance(X, np.ndarray) else X  # lest each call copy it
        return Samples(x, y, weight)

    def _prepare(self, samples: Samples, random_state: np.random.RandomState, first: bool) -> None:
        """The network, and what is said of its training, at the beginning of a fit."""
        who = type(self).__name__
        hidden = _settings.hidden_sizes(who, self.hidden_layer_sizes)
        sizes = [samples.x.shape[1], *hidden, self.n_outputs_]
        behind = _settings.activations(who, self.activation, len(hidden))
        self.n_iter_ = 0
        if not first:
            self._check_same_network(sizes, behind)
            return
        self.network_ = network(sizes, behind, self.out_activation_, samples.x.dtype, random_state)
        self.n_layers_, self.t_, self._no_improvement_count = len(sizes), 0, 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.validation_loss_curve_: list[float] | None = None
        self.best_loss_: float | None = math.inf
        self.best_validation_score_: float | None = None
        if self.early_stopping:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_loss_, self.best_validation_score_ = None, -math.inf

    def _check_same_network(self, sizes: list[int], behind: list[mk.Activation]) -> None:
        """Raises where a fit that goes on asks for another network than there is."""
        there = [f.inputs for f in self.network_._linears()] + [self.n_outputs_]
        names = [repr(f) for f in self.network_.layers[1:-1:2]]
        if there != sizes or names != [repr(f) for f in behind]:
            raise ValueError(
                f"{type(self).__name__}: a fit that goes on must have the network of the one "
                f"before: sizes {there}, {', '.join(names)}; got {sizes}, "
                f"{', '.join(map(repr, behind))}"
            )

    def _fit_lbfgs(self, objective: Objective, samples: Samples) -> None:
        report = _stochastic.Report(self, None, validates=False)

        def after(cost: float) -> bool:
            self.loss_curve_.append(cost)
            if self.verbose:
                print(f"Iteration {len(self.loss_curve_)}, loss = {cost:.8f}")
            return report.epoch(loss=cost)

        try:
            self.n_iter_, self.loss_ = _lbfgs.minimized(
                objective,
                samples,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                after=after,
            )
        finally:
            report.end()
        self.best_loss_ = min(self.loss_, self.best_loss_ or math.inf)

    # --- predicting -----------------------------------------------------------------------------
    def _inputs(self, X: Any) -> Any:
        """X in the dtype of the network."""
        check_is_fitted(self)
        dtype = self.network_.dtype
        return validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=False)

    def _outputs(self, x: Any, net: mk.Map | None = None) -> NDArray[Any]:
        """What the network, or another one, makes of x, shape (n, n_outputs_)."""
        net = net or self.network_
        if isinstance(x, np.ndarray):
            y = net.predict(x)
        else:
            starts = range(0, max(x.shape[0], 1), MOST_DENSE_ROWS)
            rows = [x[i : i + MOST_DENSE_ROWS].toarray() for i in starts]
            y = np.concatenate([net.predict(part) for part in rows])
        return mk.Exp()(y) if self.out_activation_ == "exp" else y

    def _differentiated(self) -> mk.Map:
        """The map whose outputs are those of `_outputs`."""
        net = self.network_
        return mk.Chain(*net.layers, mk.Exp()) if self.out_activation_ == "exp" else net

    def jacobian(self, X: ArrayLike) -> NDArray[Any]:
        """The derivative of each output of the network by each input.

        Outputs are predictions of a regressor; of a classifier, probabilities, in the order of
        ``classes_``: of two classes, that of ``classes_[1]`` alone.

        Parameters
        ----------
        X : array, shape (n, D)

        Returns
        -------
        J : array, shape (n, K, D)
        """
        x = self._inputs(X)
        return mk.jacobian(self._differentiated(), x if isinstance(x, np.ndarray) else x.toarray())

    def gradient(self, X: ArrayLike) -> NDArray[Any]:
        """The derivative of the one output by each input, shape (n, D); see :meth:`jacobian`.

        Raises
        ------
        ValueError
            If there are several outputs.
        """
        check_is_fitted(self)
        if self.n_outputs_ != 1:
            raise ValueError(
                f"{type(self).__name__}: gradient needs one output; got {self.n_outputs_}: "
                "jacobian has the derivatives of all"
            )
        return self.jacobian(X)[:, 0]

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weights of each layer, (D, L): views, writing into them changes the network."""
        return [f.w for f in self._fitted_network()._linears()]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The biases of each layer, (L,): views."""
        return [f.b for f in self._fitted_network()._linears() if f.b is not None]

    def _fitted_network(self) -> mk.MLP:
        if "network_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return self.network_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
