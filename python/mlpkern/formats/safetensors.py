"""Networks in safetensors files: an array a tensor, the architecture in the file's metadata.

    layers.0.w, layers.0.b   the arrays of net.layers[0], and so on; shared maps once
    metadata["mlpkern"]      JSON: format, version, dtype, the architecture, the caller's metadata

A file is written whole or not at all. Reading trusts nothing: names, shapes and dtypes are held
against the architecture before memory is reserved.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpkern import persistence
from mlpkern.formats._common import library, named_linears
from mlpkern.persistence import StrPath

KEY = "mlpkern"
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}


def save_safetensors(path: StrPath, net: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network to one safetensors file: architecture, dtype and parameters.

    The file is there whole or not at all: after any failure an older file is as it was.

    Parameters
    ----------
    path : where to write, taken as it is (.safetensors is not appended)
    net : a network that owns its parameters
    metadata : anything JSON can hold, for `load_safetensors_with_metadata`

    Raises
    ------
    ImportError
        safetensors is not installed.
    TypeError
        `net` is no network, or `metadata` is nothing that JSON can hold.
    ValueError
        Other networks own maps inside `net` (save its `copy()`), or it has over 10,000 maps.
    """
    numpy = library("save_safetensors", "safetensors.numpy")
    model = persistence.describe("save_safetensors", net)
    model["metadata"] = json.loads(persistence.checked_metadata(metadata))
    tensors = _arrays(net)
    data: bytes = numpy.save(tensors, {KEY: json.dumps(model)})
    persistence.write_whole(path, lambda file: file.write(data))


def load_safetensors(path: StrPath) -> Any:
    """Return the network of a file that `save_safetensors` wrote.

    Raises
    ------
    ImportError
        safetensors is not installed.
    ValueError
        The file is damaged, truncated, of a newer version or not written by mlpkern.
    FileNotFoundError
        There is no such file.
    """
    return load_safetensors_with_metadata(path)[0]


def load_safetensors_with_metadata(path: StrPath) -> tuple[Any, dict[str, Any]]:
    """Return the network and the metadata; errors as `load_safetensors` has."""
    module = library("load_safetensors", "safetensors")
    name = os.fspath(path)
    with open(name, "rb"):  # what the system refuses is its own error
        pass
    with persistence.refusing(name), module.safe_open(name, "numpy") as file:
        return _read(file)


def _arrays(net: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The layers' arrays by name: views of the parameters."""
    arrays = {}
    for name, f in named_linears(net):
        arrays[name + "w"] = f.w
        if f.b is not None:
            arrays[name + "b"] = f.b
    return arrays


def _read(file: Any) -> tuple[Any, dict[str, Any]]:
    text = (file.metadata() or {}).get(KEY)
    if text is None:
        raise ValueError(f"its metadata have no {KEY!r}: mlpkern did not write it")
    model = json.loads(text)
    if not isinstance(model, dict) or not isinstance(model.get("metadata"), dict):
        raise ValueError("its architecture and metadata must be JSON objects")
    there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    dtypes = {tensor.get_dtype() for tensor in there.values()} or {"F32"}
    if len(dtypes) > 1 or not dtypes <= _DTYPES.keys():
        raise ValueError(f"its tensors must be all F32 or all F64, not {', '.join(sorted(dtypes))}")
    size = sum(math.prod(tensor.get_shape()) for tensor in there.values())
    net = persistence.build(model, _DTYPES[dtypes.pop()], size)
    arrays = _arrays(net)
    if there.keys() != arrays.keys():
        odd = sorted(there.keys() ^ arrays.keys())
        raise ValueError(f"its tensors must be those of its architecture; it differs in {odd[0]!r}")
    for name, array in arrays.items():
        if there[name].get_shape() != list(array.shape):
            raise ValueError(
                f"{name} must have shape {array.shape}, not {tuple(there[name].get_shape())}"
            )
        array[...] = file.get_tensor(name)
    return net, model["metadata"]
