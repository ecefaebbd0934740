"""NumPy oracles: mlpkern's own names and signatures, in float64, written from the definitions.

They are for reading and for testing, and neither fast nor small in memory. They differ from the
kernels in what they return: float64 whatever comes in (longdouble for longdouble).

>>> import numpy as np
>>> Tanh().derivative(np.zeros(2, np.float32))
array([1., 1.])
"""

from .activations import LogSoftmax, Softmax, activation
from .derivatives import (
    derivatives,
    ggnvp,
    hessian,
    hvp,
    input_hessian,
    jacobian,
    jvp,
    laplacian,
    parameter_jacobian,
    per_sample_gradients,
    vjp,
)
from .linear import linear, linear_backward
from .losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    MeanSquaredError,
    PoissonNLL,
    Quantile,
    SquaredError,
)
from .models import MLP, Chain, Linear, Standardize, Sum
from .optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
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
from .rowwise import LogSoftargmax, Softargmax, logsumexp
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
from .training import train_step, value_and_gradient
from .units import CELU, ELU, GELU, SELU

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "MLP",
    "SELU",
    "SGD",
    "AbsoluteError",
    "Adagrad",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Chain",
    "CrossEntropy",
    "Exp",
    "Gaussian",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Huber",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftargmax",
    "LogSoftmax",
    "MeanSquaredError",
    "Mish",
    "PoissonNLL",
    "Quantile",
    "RMSprop",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Sine",
    "Softargmax",
    "Softmax",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SquaredError",
    "Squareplus",
    "Standardize",
    "Sum",
    "Tanh",
    "Tanhshrink",
    "activation",
    "derivatives",
    "ggnvp",
    "hessian",
    "hvp",
    "input_hessian",
    "jacobian",
    "jvp",
    "laplacian",
    "linear",
    "linear_backward",
    "logsumexp",
    "parameter_jacobian",
    "per_sample_gradients",
    "train_step",
    "value_and_gradient",
    "vjp",
]
