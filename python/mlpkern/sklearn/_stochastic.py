"""Epochs of a stochastic solver, until scikit-learn's rule, a callback or the user stops them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from mlpkern.callbacks import History, ProgressBar
from mlpkern.sklearn._network import Objective, Samples
from mlpkern.sklearn._settings import users_line
from mlpkern.sklearn._solvers import Solver


class Report:
    """A fit as its callbacks and its progress bar see it: those that `mlpkern.fit` takes."""

    def __init__(self, estimator: Any, solver: Any, validates: bool) -> None:
        self.history = History(estimator.network_, solver)
        if validates:
            self.history["val_loss"] = []
        self._callbacks = list(estimator.callbacks or ())
        self._bar = ProgressBar(estimator.max_iter) if estimator.progress else None
        for callback in self._callbacks:
            getattr(callback, "begin", lambda _: None)(self.history)

    def epoch(self, **costs: float) -> bool:
        """After an epoch; whether a callback wants to stop."""
        for name, cost in costs.items():
            self.history[name].append(cost)
        if self._bar is not None:
            self._bar(self.history)
        answers = [callback(self.history) for callback in self._callbacks]
        return any(isinstance(a, bool | np.bool_) and a for a in answers)

    def end(self) -> None:
        """After the last epoch, also after an interrupt."""
        if self._bar is not None:
            self._bar.close()
        for callback in self._callbacks:
            getattr(callback, "end", lambda _: None)(self.history)


def split(
    estimator: Any, samples: Samples, random_state: np.random.RandomState, stratify: Any
) -> tuple[Samples, Samples | None]:
    """Samples to train on, and those set aside where there is early stopping."""
    if not estimator.early_stopping:
        return samples, None
    train, held_out = train_test_split(
        np.arange(len(samples)),
        random_state=random_state,
        test_size=estimator.validation_fraction,
        stratify=stratify,
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    x = samples.x
    kept = [Samples(x[i], samples.y[i], _part(samples.weight, i)) for i in (train, held_out)]
    return kept[0], kept[1].take(slice(None))


def _part(weight: NDArray[Any] | None, rows: NDArray[Any]) -> NDArray[Any] | None:
    return None if weight is None else weight[rows]


class Training:
    """The epochs of one call of ``fit`` or ``partial_fit``.

    What an estimator says of its fit (``loss_curve_`` and so on) is kept on the estimator.
    """

    def __init__(
        self,
        estimator: Any,
        objective: Objective,
        solver: Solver,
        samples: Samples,
        held_out: Samples | None,
        random_state: np.random.RandomState,
    ) -> None:
        self.estimator, self.objective, self.solver = estimator, objective, solver
        self.samples, self.held_out, self.random_state = samples, held_out, random_state
        self.batch, self.constant = self._batch(), objective.constant(samples)
        self.order: NDArray[Any] | None = np.arange(len(samples)) if estimator.shuffle else None
        self.best: NDArray[Any] | None = None

    def _batch(self) -> int:
        asked, n = self.estimator.batch_size, len(self.samples)
        if asked == "auto":
            return min(200, n)
        if asked > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. "
                "It is going to be clipped",
                stacklevel=users_line(),
            )
        return min(int(asked), n)

    def run(self, epochs: int, warn: bool) -> None:
        """Trains for so many epochs at most, and warns where that was not enough."""
        e = self.estimator
        report = Report(e, self.solver.steps, self.held_out is not None)
        try:
            for _ in range(epochs):
                costs = self._epoch()
                e._no_improvement_count = 0 if self._improves() else e._no_improvement_count + 1
                self.solver.epoch_ends(e.t_)
                if report.epoch(**costs) or self._stops():
                    break
            else:
                if warn:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the "
                        "optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=users_line(),
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=users_line())
        finally:
            report.end()
        if self.best is not None:
            self.objective.net.parameters[...] = self.best

    def _epoch(self) -> dict[str, float]:
        """One epoch; the costs of its samples, and of those set aside."""
        e = self.estimator
        if self.order is not None:  # an order of the order before, as scikit-learn has it
            self.order = self.order[self.random_state.permutation(len(self.samples))]
        cost = self.solver.epoch(self.objective, self.samples, self.order, self.batch)
        e.loss_ = cost + self.constant
        e.n_iter_ += 1
        e.t_ += len(self.samples)
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        if self.held_out is None:
            return {"loss": e.loss_}
        e.validation_loss_curve_.append(self.objective.value(self.held_out))
        e.validation_scores_.append(e._validation_score(self.held_out))
        if e.verbose:
            print(f"Validation score: {e.validation_scores_[-1]:f}")
        return {"loss": e.loss_, "val_loss": e.validation_loss_curve_[-1]}

    def _improves(self) -> bool:
        """Whether the last epoch was better than the best by ``tol``; keeps the best."""
        e = self.estimator
        if self.held_out is None:
            improves = not e.loss_ > e.best_loss_ - e.tol
            e.best_loss_ = e.loss_ if e.loss_ < e.best_loss_ else e.best_loss_
            return improves
        score = e.validation_scores_[-1]
        improves = not score < e.best_validation_score_ + e.tol
        if score > e.best_validation_score_:
            e.best_validation_score_ = score
            self.best = self.objective.net.parameters.copy()
        return improves

    def _stops(self) -> bool:
        """Whether training ends after too many epochs without an improvement."""
        e = self.estimator
        if math.isinf(e.n_iter_no_change) or e._no_improvement_count <= e.n_iter_no_change:
            return False
        why = self.solver.gives_up()
        if e.verbose:
            what = "Training loss" if self.held_out is None else "Validation score"
            next_ = why or f"Setting learning rate to {self.solver.learning_rate:f}"
            print(
                f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} "
                f"consecutive epochs. {next_}"
            )
        if not why:
            e._no_improvement_count = 0
        return bool(why)
