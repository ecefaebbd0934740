"""mlpkern: C++ kernels for multilayer perceptrons on the CPU, behind a thin NumPy API.

Arrays are rows: x (n, D), w (D, L), b (L,). float32 in, float32 out; float64 in, float64 out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    from mlpkern import _core
except ImportError as error:
    error.add_note(
        "mlpkern: the compiled module is missing; build it with `pip install .` in the source "
        "tree, and do not run Python from its python/ folder"
    )
    raise

from mlpkern import activations as _activations
from mlpkern import derivatives as _derivatives
from mlpkern import dropout as _dropout
from mlpkern import gradcheck as _gradcheck
from mlpkern import linear as _linear
from mlpkern import losses as _losses
from mlpkern import machine as _machine
from mlpkern import models as _models
from mlpkern import optimizers as _optimizers
from mlpkern import parameter_derivatives as _parameter_derivatives
from mlpkern import training as _training
from mlpkern.activations import *
from mlpkern.derivatives import *
from mlpkern.dropout import *
from mlpkern.gradcheck import *
from mlpkern.linear import *
from mlpkern.losses import *
from mlpkern.machine import *
from mlpkern.maps import Frozen, Map
from mlpkern.models import *
from mlpkern.optimizers import *
from mlpkern.parameter_derivatives import *
from mlpkern.training import *

if TYPE_CHECKING:
    from mlpkern import reference
    from mlpkern.graph import Graph
    from mlpkern.persistence import load, save
    from mlpkern.trace import Trace

__version__ = _core.__version__

# Imported when first asked for: most programs never do.
_LATER = {
    "Graph": "mlpkern.graph",
    "Trace": "mlpkern.trace",
    "load": "mlpkern.persistence",
    "save": "mlpkern.persistence",
}


def __getattr__(name: str) -> Any:
    if name == "reference":
        return importlib.import_module("mlpkern.reference")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'mlpkern' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Frozen",
    "Graph",
    "Map",
    "Trace",
    "load",
    "reference",
    "save",
    *_activations.__all__,
    *_derivatives.__all__,
    *_dropout.__all__,
    *_gradcheck.__all__,
    *_linear.__all__,
    *_losses.__all__,
    *_machine.__all__,
    *_models.__all__,
    *_optimizers.__all__,
    *_parameter_derivatives.__all__,
    *_training.__all__,
]
