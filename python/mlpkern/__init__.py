"""mlpkern: C++ kernels for multilayer perceptrons on the CPU, behind a thin NumPy API.

Arrays are rows: x (n, D), w (D, L), b (L,). float32 in, float32 out; float64 in, float64 out.
"""

from __future__ import annotations

try:
    from mlpkern import _core
except ImportError as error:
    error.add_note(
        "mlpkern: the compiled module is missing; build it with `pip install .` in the source tree, "
        "and do not run Python from its python/ folder"
    )
    raise

from mlpkern import activations as _activations
from mlpkern import linear as _linear
from mlpkern import losses as _losses
from mlpkern import machine as _machine
from mlpkern import models as _models
from mlpkern import optimizers as _optimizers
from mlpkern import reference
from mlpkern import training as _training
from mlpkern.activations import *
from mlpkern.graph import Graph
from mlpkern.linear import *
from mlpkern.losses import *
from mlpkern.machine import *
from mlpkern.maps import Frozen, Map
from mlpkern.models import *
from mlpkern.optimizers import *
from mlpkern.persistence import load, save
from mlpkern.trace import Trace
from mlpkern.training import *

__version__ = _core.__version__

__all__ = [
    "Frozen",
    "Graph",
    "Map",
    "Trace",
    "load",
    "reference",
    "save",
    *_activations.__all__,
    *_linear.__all__,
    *_losses.__all__,
    *_machine.__all__,
    *_models.__all__,
    *_optimizers.__all__,
    *_training.__all__,
]
