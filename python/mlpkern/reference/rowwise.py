# mypy: disable-error-code=no-any-return
"""Softargmax and its logarithm, which work on whole rows (the last axis), and log-sum-exp.

math.md, section 5: most libraries call softargmax "softmax".
"""

from dataclasses import dataclass
from typing import Never

import numpy as np
from numpy.typing import ArrayLike

from .base import Activation, diagonal_matrix, like
from .numeric import Array, as_real, deliver


def logsumexp(e: ArrayLike, beta: float = 1.0) -> Array:
    """Return the soft maximum (1/beta) log sum_k exp(beta e_k) over the last axis.

    Parameters
    ----------
    e : (..., K). A row of -inf, or no entry at all (K = 0), gives -inf; NaN gives NaN.
    beta : finite, positive.

    Returns
    -------
    m : (...)
    """
    e = _rows(e, "e")
    if not (beta > 0 and np.isfinite(beta)):
        raise ValueError(f"beta must be finite and positive, not {beta}")
    if e.shape[-1] == 0:
        return np.full(e.shape[:-1], -np.inf, e.dtype)
    with np.errstate(all="ignore"):
        top = np.max(e, axis=-1)
        rest = np.sum(_without_top(np.exp(beta * (e - top[..., None])), e), axis=-1)
        return np.where(np.isinf(top), top, top + np.log1p(rest) / beta)


def softargmax(e: Array, beta: float = 1.0) -> Array:
    """Return exp(beta e) / sum_k exp(beta e_k) over the last axis; the maximum is taken off."""
    if e.shape[-1] == 0:
        return e.copy()
    with np.errstate(all="ignore"):
        powers = np.exp(beta * (e - np.max(e, axis=-1, keepdims=True)))
        return powers / np.sum(powers, axis=-1, keepdims=True)


def log_softargmax(e: Array) -> Array:
    """Return e - logsumexp(e) over the last axis, exact also where it is next to zero."""
    if e.shape[-1] == 0:
        return e.copy()
    with np.errstate(all="ignore"):
        top = np.max(e, axis=-1, keepdims=True)
        shifted = e - top
        rest = np.sum(_without_top(np.exp(shifted), e), axis=-1, keepdims=True)
        return np.where(np.isinf(top), np.nan, shifted - np.log1p(rest))


def complement(y: Array) -> Array:
    """Return 1 - y for rows y that sum to one: where y is near one, the sum of the others."""
    if y.shape[-1] == 0:
        return y.copy()
    top = np.argmax(y, axis=-1, keepdims=True)
    others = np.sum(_without_top(y, y), axis=-1, keepdims=True)
    result = 1 - y
    np.put_along_axis(result, top, others, axis=-1)
    return result


def _without_top(terms: Array, e: Array) -> Array:
    """Return `terms` with a zero where each row of `e` has its (first) maximum."""
    terms = terms.copy()
    np.put_along_axis(terms, np.argmax(e, axis=-1, keepdims=True), 0, axis=-1)
    return terms


def _minus_top(v: Array, y: Array) -> Array:
    """Return v - v_i with i the argmax of each row of `y`.

    A constant added to `v` does not change v - <y, v>; this one spares it the cancellation
    where y_i is close to one.
    """
    if y.shape[-1] == 0:
        return v
    return v - np.take_along_axis(v, np.argmax(y, axis=-1, keepdims=True), axis=-1)


def _rows(s: ArrayLike, name: str = "s") -> Array:
    a = as_real(s, name)
    if a.ndim == 0:
        raise ValueError(f"{name} must have at least one axis")
    return a


class Rowwise(Activation):
    """An activation of a whole row, whose Jacobian is not diagonal."""

    def derivative(self, s: ArrayLike) -> Never:
        """Raise TypeError: the derivative of a row by a row is a matrix."""
        raise TypeError(f"{type(self).__name__} works on rows: use jacobian, jvp, vjp")

    def second_derivative(self, s: ArrayLike) -> Never:
        """Raise TypeError: see derivative."""
        self.derivative(s)

    def third_derivative(self, s: ArrayLike) -> Never:
        """Raise TypeError: see derivative."""
        self.derivative(s)

    def second_jvp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return sum_ij d2a_k/ds_i ds_j v_i w_j for each k: the jvp with v, changed along w."""
        raise NotImplementedError

    def second_vjp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return sum_ki v_k d2a_k/ds_j ds_i w_i for each j: the vjp with v, changed along w."""
        raise NotImplementedError


@dataclass(frozen=True)
class Softargmax(Rowwise):
    """``y_k = exp(beta s_k) / sum_j exp(beta s_j)``; most libraries call it softmax.

    Its Jacobian is ``beta (diag(y) - y' y)``.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.beta > 0, "beta must be positive")

    def __call__(self, s: ArrayLike, out: Array | None = None) -> Array:
        """Return softargmax over the last axis, of the shape of `s`."""
        return deliver(softargmax(_rows(s), self.beta), out)

    def jacobian(self, s: ArrayLike) -> Array:
        """Return beta (diag(y) - y^T y), (..., L, L); its diagonal is beta y (1 - y)."""
        y = self(s)
        off_diagonal = y[..., :, None] * y[..., None, :] * (1 - np.eye(y.shape[-1], dtype=y.dtype))
        return self.beta * (diagonal_matrix(y * complement(y)) - off_diagonal)

    def jvp(self, s: ArrayLike, v: ArrayLike, out: Array | None = None) -> Array:
        """Return beta y (v - <y, v>), of the shape of `s`."""
        y = self(s)
        with np.errstate(all="ignore"):
            v = _minus_top(like(as_real(v, "v"), y, "v"), y)
            return deliver(self.beta * y * (v - np.sum(y * v, axis=-1, keepdims=True)), out)

    def vjp(self, s: ArrayLike, g: ArrayLike, out: Array | None = None) -> Array:
        """Return the same as jvp: the Jacobian is symmetric."""
        return self.jvp(s, g, out)

    def second_jvp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return beta (dy (v - <y, v>) - y <dy, v>), where dy is the jvp with `w`."""
        y, dy = self(s), self.jvp(s, w)
        with np.errstate(all="ignore"):
            v = _minus_top(like(as_real(v, "v"), y, "v"), y)
            mean, change = (np.sum(q * v, axis=-1, keepdims=True) for q in (y, dy))
            return self.beta * (dy * (v - mean) - y * change)

    def second_vjp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return the same as second_jvp: the second derivatives are symmetric in all indices."""
        return self.second_jvp(s, v, w)


@dataclass(frozen=True)
class LogSoftargmax(Rowwise):
    """``y = log softargmax(s) = s - logsumexp(s)``.

    Its Jacobian is ``I - 1' p`` with ``p = softargmax(s)``.
    """

    def __call__(self, s: ArrayLike, out: Array | None = None) -> Array:
        """Return log softargmax over the last axis, of the shape of `s`."""
        return deliver(log_softargmax(_rows(s)), out)

    def jacobian(self, s: ArrayLike) -> Array:
        """Return element [..., i, j] = (1 if i == j else 0) - p_j, shape (..., L, L)."""
        p = softargmax(_rows(s))
        off_diagonal = (1 - np.eye(p.shape[-1], dtype=p.dtype)) * p[..., None, :]
        return diagonal_matrix(complement(p)) - off_diagonal

    def jvp(self, s: ArrayLike, v: ArrayLike, out: Array | None = None) -> Array:
        """Return v - <p, v>, of the shape of `s`."""
        p = softargmax(_rows(s))
        with np.errstate(all="ignore"):
            v = _minus_top(like(as_real(v, "v"), p, "v"), p)
            return deliver(v - np.sum(p * v, axis=-1, keepdims=True), out)

    def vjp(self, s: ArrayLike, g: ArrayLike, out: Array | None = None) -> Array:
        """Return g - p sum(g), of the shape of `s`."""
        p = softargmax(_rows(s))
        g = like(as_real(g, "g"), p, "g")
        with np.errstate(all="ignore"):
            return deliver(g - p * np.sum(g, axis=-1, keepdims=True), out)

    def second_jvp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return -<dp, v> for every k, where dp is softargmax's jvp with `w`."""
        p, dp = softargmax(_rows(s)), Softargmax().jvp(s, w)
        with np.errstate(all="ignore"):
            v = _minus_top(like(as_real(v, "v"), p, "v"), p)
            return np.broadcast_to(-np.sum(dp * v, axis=-1, keepdims=True), p.shape)

    def second_vjp(self, s: ArrayLike, v: ArrayLike, w: ArrayLike) -> Array:
        """Return -dp sum(v), where dp is softargmax's jvp with `w`."""
        dp = Softargmax().jvp(s, w)
        v = like(as_real(v, "v"), dp, "v")
        with np.errstate(all="ignore"):
            return -dp * np.sum(v, axis=-1, keepdims=True)
