"""Optimizers, with PyTorch's formulas (torch.optim) and argument names.

p are the parameters, g their gradients, t the number of the step, from 1. All arrays are flat.
"""

import numpy as np

from .models import Map
from .numeric import Array


class Optimizer:
    """Moves a network's parameters, in place. A subclass states `update`."""

    def __init__(self, net: Map, lr: float, weight_decay: float) -> None:
        if lr < 0 or weight_decay < 0:
            raise ValueError("lr and weight_decay must not be negative")
        self.net, self.lr, self.weight_decay, self.t = net, lr, weight_decay, 0
        net.parameters  # noqa: B018  raises where the network has no parameters of its own

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        self.net.zero_grad()

    def step(self) -> None:
        """Move each parameter against its gradient."""
        self.t += 1
        p = self.net.parameters
        with np.errstate(all="ignore"):
            decay = self.weight_decay * p if self.weight_decay else 0  # 0 inf would be NaN
            self.update(p, self.net.gradients + decay)

    def update(self, p: Array, g: Array) -> None:
        """Change `p` in place; `g` is the gradient with weight_decay * p added to it."""
        raise NotImplementedError

    def zeros(self) -> Array:
        """Return one zero a parameter."""
        return np.zeros_like(self.net.parameters)


class SGD(Optimizer):
    """m = momentum m + (1 - dampening) g (at first m = g); p -= lr m.

    With nesterov, p -= lr (g + momentum m).
    """

    def __init__(
        self,
        net: Map,
        lr: float = 0.1,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        self.m = self.zeros()

    def update(self, p: Array, g: Array) -> None:
        if self.momentum != 0:
            first = self.t == 1
            self.m = g if first else self.momentum * self.m + (1 - self.dampening) * g
            g = g + self.momentum * self.m if self.nesterov else self.m
        p -= self.lr * g


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2.

    p -= lr (m/(1 - b1^t)) / (sqrt(v/(1 - b2^t)) + eps).
    """

    def __init__(
        self,
        net: Map,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), not {betas}")
        self.betas, self.eps = betas, eps
        self.m, self.v = self.zeros(), self.zeros()

    def update(self, p: Array, g: Array) -> None:
        b1, b2 = self.betas
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        m_hat, v_hat = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """``p *= 1 - lr weight_decay``, then Adam's step with the bare gradient."""

    def __init__(
        self,
        net: Map,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(net, lr, betas, eps, weight_decay)

    def update(self, p: Array, g: Array) -> None:
        p *= 1 - self.lr * self.weight_decay
        super().update(p, self.net.gradients)


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g^2; p -= lr g/(sqrt(v) + eps).

    With centered, v loses the square of the mean of g; with momentum, m = momentum m + g/(...)
    takes the place of g/(...).
    """

    def __init__(
        self,
        net: Map,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        self.v, self.mean, self.m = self.zeros(), self.zeros(), self.zeros()

    def update(self, p: Array, g: Array) -> None:
        self.v = self.alpha * self.v + (1 - self.alpha) * g**2
        self.mean = self.alpha * self.mean + (1 - self.alpha) * g
        variance = self.v - self.mean**2 if self.centered else self.v
        self.m = self.momentum * self.m + g / (np.sqrt(variance) + self.eps)
        p -= self.lr * self.m


class Adagrad(Optimizer):
    """v = v + g^2; p -= lr/(1 + (t - 1) lr_decay) g/(sqrt(v) + eps)."""

    def __init__(
        self,
        net: Map,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(net, lr, weight_decay)
        self.lr_decay, self.eps = lr_decay, eps
        self.v = self.zeros() + initial_accumulator_value

    def update(self, p: Array, g: Array) -> None:
        self.v = self.v + g**2
        p -= self.lr / (1 + (self.t - 1) * self.lr_decay) * g / (np.sqrt(self.v) + self.eps)
