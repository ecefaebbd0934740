"""The training step, and the cost with its gradient, for a whole network.

Where a cost follows the activation that it is made for (math.md, section 2), the two are taken
as one, from the logits, whose derivative is y_pred - y.
"""

import numpy as np
from numpy.typing import ArrayLike

from .losses import BinaryCrossEntropy, CrossEntropy, Loss
from .models import Chain, Map, Part, compose
from .numeric import Array, as_real
from .optimizers import Optimizer
from .rowwise import Softargmax
from .smooth import Sigmoid


def train_step(
    net: Map,
    loss: Loss,
    optimizer: Optimizer,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the cost of the batch x (n, D), y, after moving the parameters one step."""
    optimizer.zero_grad()
    cost = _cost_and_backward(net, loss, x, y, sample_weight)
    optimizer.step()
    return cost


def value_and_gradient(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[float, Array]:
    """Return the cost and its gradient, (P,); what net.gradients holds stays as it was."""
    kept = net.gradients.copy()
    net.zero_grad()
    cost = _cost_and_backward(net, loss, x, y, sample_weight)
    gradient = net.gradients.copy()
    net.gradients[...] = kept
    return cost, gradient


def _cost_and_backward(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None
) -> float:
    """Return the cost, and add its derivatives to the gradients."""
    parts, loss, beta = _from_logits(_parts(net), loss)
    s, pullback = compose(parts, as_real(x, "x"))
    with np.errstate(all="ignore"):
        logits = beta * s
        pullback(beta * loss.gradient(logits, y, weight))
    return loss(logits, y, weight)


def _parts(part: Part) -> list[Part]:
    """Return the maps that `part` applies one after the other, chains in chains laid open."""
    return [p for q in part.layers for p in _parts(q)] if isinstance(part, Chain) else [part]


def _from_logits(parts: list[Part], loss: Loss) -> tuple[list[Part], Loss, float]:
    """Return the maps before the logits, the loss from logits, and what multiplies them."""
    last = parts[-1]
    if isinstance(loss, BinaryCrossEntropy) and isinstance(last, Sigmoid) and not loss.from_logits:
        return parts[:-1], BinaryCrossEntropy(True, reduction=loss.reduction), 1.0
    if isinstance(loss, CrossEntropy) and isinstance(last, Softargmax) and not loss.from_logits:
        logits_loss = CrossEntropy(True, loss.label_smoothing, reduction=loss.reduction)
        return parts[:-1], logits_loss, last.beta
    return parts, loss, 1.0
