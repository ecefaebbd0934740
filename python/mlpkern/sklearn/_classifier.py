"""A multilayer perceptron that predicts classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

import mlpkern as mk
from mlpkern.sklearn import _settings
from mlpkern.sklearn._base import MultilayerPerceptron
from mlpkern.sklearn._network import Samples


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):  # type: ignore[misc]
    """scikit-learn's ``MLPClassifier``, trained by mlpkern.

    Parameters
    ----------
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
    label_smoothing : float
        From 0 to 1: targets are drawn so far towards equal shares.
    class_weight : dict, "balanced" or None
        What the samples of each class count, beside ``sample_weight``.
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
    classes_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As scikit-learn has them.
    n_iter_, t_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_
        As scikit-learn has them.
    """

    def __init__(
        self,
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
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        callbacks: Any = None,
        progress: bool = False,
    ) -> None:
        _settings.take(self, locals())

    def _check_own(self) -> None:
        _settings.share("MLPClassifier", "label_smoothing", self.label_smoothing, True)

    def _loss(self) -> mk.Loss:
        """Two classes, and labels that exclude none, are smoothed in the targets."""
        if self.out_activation_ == "softmax":
            return mk.CrossEntropy(label_smoothing=self.label_smoothing)
        return mk.BinaryCrossEntropy()

    def _validated(
        self, X: Any, y: Any, weight: Any, first: bool, incremental: bool
    ) -> tuple[Samples, NDArray[Any] | None]:
        dtype = (np.float64, np.float32) if first else self.network_.dtype
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=dtype, reset=first
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        labels = self._encoded(y, first, incremental)
        samples = self._samples(X, self._targets(labels, X.dtype), self._weights(y, weight))
        return samples, labels.astype(bool)[:, None] if self.n_outputs_ == 1 else None

    def _encoded(self, y: Any, first: bool, incremental: bool) -> NDArray[Any]:
        """y as indices into ``classes_``, (n,), or as zeros and ones, (n, K); learns them."""
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            ones = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
            self._learn(np.arange(ones.shape[1]), True, first, incremental)
            return ones
        found = np.unique(y)
        self._learn(found, False, first, incremental)
        labels: NDArray[Any] = np.searchsorted(self.classes_, y)
        return labels

    def _learn(self, found: NDArray[Any], several: bool, first: bool, incremental: bool) -> None:
        """Takes the classes for ``classes_``, or holds them against those that there are."""
        if first and not incremental:
            self.classes_ = found
        missing = np.setdiff1d(found, self.classes_)
        if self.warm_start and not first and not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if len(missing):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {found}."
            )
        if first:
            one = not several and len(self.classes_) <= 2
            self.n_outputs_ = 1 if one else len(self.classes_)
            self.out_activation_ = "logistic" if one or several else "softmax"
            self._multilabel = several

    def _targets(self, labels: NDArray[Any], dtype: Any) -> NDArray[Any]:
        if self.out_activation_ == "softmax":
            return labels.astype(np.int64, copy=False)
        keep = 1.0 - self.label_smoothing
        targets = keep * labels.reshape(len(labels), -1) + 0.5 * self.label_smoothing
        return np.ascontiguousarray(targets, dtype)

    def _weights(self, y: Any, weight: Any) -> Any:
        """Weights of samples and of their classes, multiplied."""
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, y)
        return by_class if weight is None else by_class * np.asarray(weight)

    def _decided(self, x: Any) -> NDArray[Any]:
        """Indices of classes, (n,); of two classes or several labels, yes or no, (n, K)."""
        p = self._outputs(x)
        return p.argmax(axis=1) if self.out_activation_ == "softmax" else p > 0.5

    def _validation_score(self, samples: Samples) -> float:
        """The accuracy; of several labels, the share of rows in which all are right."""
        y = samples.y if self.out_activation_ == "softmax" else samples.y > 0.5
        right = (self._decided(samples.x) == y).reshape(len(y), -1).all(axis=1)
        return float(np.average(right, weights=samples.weight))

    # --- predicting -----------------------------------------------------------------------------
    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The classes, shape (n,), or zeros and ones for each label, shape (n, K).

        Parameters
        ----------
        X : array or sparse matrix, shape (n, D)
        """
        decided = self._decided(self._inputs(X)).astype(int, copy=False)
        if self._multilabel:
            return decided
        classes: NDArray[Any] = self.classes_[np.minimum(decided.ravel(), len(self.classes_) - 1)]
        return classes

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probability of each class, in the order of ``classes_``, shape (n, classes).

        Parameters
        ----------
        X : array or sparse matrix, shape (n, D)
        """
        p = self._outputs(self._inputs(X))
        if self.n_outputs_ == 1 and not self._multilabel:
            return np.hstack([1 - p, p])
        return p

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The logarithms of :meth:`predict_proba`, from the logits: finite where it is 0 or 1."""
        x = self._inputs(X)
        logits = self._outputs(x, mk.Chain(*self.network_.layers[:-1]))
        if self.out_activation_ == "softmax":
            return mk.LogSoftargmax()(logits)
        log = mk.LogSigmoid()
        return log(logits) if self._multilabel else np.hstack([log(-logits), log(logits)])

    @available_if(_settings.is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, classes: Any = None
    ) -> Any:
        """One epoch on samples, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array, optional
            All classes that there will be; the first call needs them.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "MLPClassifier: partial_fit must have class_weight as a dict: what is balanced "
                f"depends on all samples; got {self.class_weight!r}"
            )
        self._take_classes(classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def _take_classes(self, classes: Any) -> None:
        there = getattr(self, "classes_", None)
        if there is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if there is None:
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(there, np.unique(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{there!r}"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
