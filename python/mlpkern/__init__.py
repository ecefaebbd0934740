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
    from mlpkern.checkpoints import Checkpoint, TrainingState, load_checkpoint
    from mlpkern.formats.onnx import from_onnx, to_onnx
    from mlpkern.formats.safetensors import load_safetensors, save_safetensors
    from mlpkern.formats.sklearn import from_sklearn
    from mlpkern.formats.torch import from_torch, to_torch
    from mlpkern.graph import Graph
    from mlpkern.persistence import load, save
    from mlpkern.schedules import (
        ConstantSchedule,
        CosineSchedule,
        ExponentialSchedule,
        OneCycle,
        ReduceOnPlateau,
        Schedule,
        StepSchedule,
        WarmUp,
    )
    from mlpkern.trace import Trace

__version__ = _core.__version__

# Imported when first asked for: most programs never do.
_LATER = {
    "Checkpoint": "mlpkern.checkpoints",
    "ConstantSchedule": "mlpkern.schedules",
    "CosineSchedule": "mlpkern.schedules",
    "ExponentialSchedule": "mlpkern.schedules",
    "Graph": "mlpkern.graph",
    "OneCycle": "mlpkern.schedules",
    "ReduceOnPlateau": "mlpkern.schedules",
    "Schedule": "mlpkern.schedules",
    "StepSchedule": "mlpkern.schedules",
    "Trace": "mlpkern.trace",
    "TrainingState": "mlpkern.checkpoints",
    "WarmUp": "mlpkern.schedules",
    "from_onnx": "mlpkern.formats.onnx",
    "from_sklearn": "mlpkern.formats.sklearn",
    "from_torch": "mlpkern.formats.torch",
    "load": "mlpkern.persistence",
    "load_checkpoint": "mlpkern.checkpoints",
    "load_safetensors": "mlpkern.formats.safetensors",
    "save": "mlpkern.persistence",
    "save_safetensors": "mlpkern.formats.safetensors",
    "to_onnx": "mlpkern.formats.onnx",
    "to_torch": "mlpkern.formats.torch",
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
    "Checkpoint",
    "ConstantSchedule",
    "CosineSchedule",
    "ExponentialSchedule",
    "Frozen",
    "Graph",
    "Map",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "StepSchedule",
    "Trace",
    "TrainingState",
    "WarmUp",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "load",
    "load_checkpoint",
    "load_safetensors",
    "reference",
    "save",
    "save_safetensors",
    "to_onnx",
    "to_torch",
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
