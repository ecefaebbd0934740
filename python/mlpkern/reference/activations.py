"""Every activation, and `activation`, which makes one by name."""

from typing import Any

from .base import Activation
from .piecewise import (
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    ReLU,
    ReLU6,
    Softshrink,
)
from .rowwise import LogSoftargmax, Softargmax
from .smooth import (
    Exp,
    Gaussian,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Sine,
    Softplus,
    Softsign,
    Squareplus,
    Tanh,
    Tanhshrink,
)
from .units import CELU, ELU, GELU, SELU

Softmax = Softargmax
LogSoftmax = LogSoftargmax

# fmt: off
_CLASSES: tuple[type[Activation], ...] = (
    Identity, ReLU, LeakyReLU, ReLU6, ELU, SELU, CELU, GELU, Sigmoid, LogSigmoid, Tanh, Softplus,
    Softsign, SiLU, Mish, Hardsigmoid, Hardswish, Hardtanh, Tanhshrink, Softshrink, Hardshrink,
    Squareplus, Sine, Gaussian, Exp, Softargmax, LogSoftargmax,
)
# fmt: on
_BY_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}
_BY_NAME |= {"softmax": Softargmax, "logsoftmax": LogSoftargmax, "swish": SiLU}


def activation(name: str, **params: Any) -> Activation:
    """Return the activation of that name; case and underscores do not count.

    >>> activation("leaky_relu", negative_slope=0.1)
    LeakyReLU(negative_slope=0.1)
    """
    key = name.lower().replace("_", "")
    if key not in _BY_NAME:
        raise ValueError(f"no activation {name!r}; there are {', '.join(sorted(_BY_NAME))}")
    return _BY_NAME[key](**params)
