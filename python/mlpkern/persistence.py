"""Networks in files: `save` and `load`, one .npz without pickle.

The file is a container of three arrays (see `container`):

    model       JSON as UTF-8 bytes: format, version, dtype, and the architecture as net.config()
    metadata    JSON as UTF-8 bytes: whatever was given to save
    parameters  (P,) float32 or float64, in the order of net.parameters

A checkpoint has arrays of a training beside them, all of whose names begin with "training".
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern.container import (
    StrPath,
    arrays_in,
    as_bytes,
    as_object,
    is_archive,
    read,
    refusing,
    write_arrays,
    write_whole,
)

__all__ = [
    "StrPath",
    "build",
    "checked_metadata",
    "count_parameters",
    "describe",
    "load",
    "load_with_metadata",
    "refusing",
    "save",
    "write_whole",
]

FORMAT, VERSION = "mlpkern", 1
MOST_MAPS = 10_000
_MEMBERS = ("model.npy", "metadata.npy", "parameters.npy")
_OTHERS = {  # endings of other formats, and what writes and reads them
    ".safetensors": ("a safetensors file", "save_safetensors", "load_safetensors"),
    ".onnx": ("an ONNX model", "to_onnx", "from_onnx"),
}
_DTYPES = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8")}


def save(path: StrPath, net: Any, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network to one file: architecture, dtype and parameters.

    The file is there whole or not at all: after any failure an older file is as it was.

    Parameters
    ----------
    path : where to write, taken as it is (.npz is not appended)
    net : a network that owns its parameters
    metadata : anything JSON can hold, for `load_with_metadata`

    Raises
    ------
    TypeError
        `net` is no network, or `metadata` is nothing that JSON can hold.
    ValueError
        Other networks own maps inside `net` (save its `copy()`), or it has over 10,000 maps.
    """
    for ending, (_, writer, _) in _OTHERS.items():
        if os.fspath(path).endswith(ending):
            raise ValueError(
                f"save: path must not end in {ending}, which {writer} writes; got {path}"
            )
    write_arrays(path, arrays_of("save", net, metadata))


def arrays_of(who: str, net: Any, metadata: Mapping[str, Any] | None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a network's file."""
    return {
        "model": as_bytes(json.dumps(describe(who, net))),
        "metadata": as_bytes(checked_metadata(metadata)),
        "parameters": net.parameters,
    }


def load(path: StrPath) -> Any:
    """Return the network of a file that `save` wrote.

    Raises
    ------
    ValueError
        The file is damaged, truncated, of a newer version or no mlpkern file at all.
    FileNotFoundError
        There is no such file.
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: StrPath) -> tuple[Any, dict[str, Any]]:
    """Return the network of a file that `save` wrote, and the metadata; errors as `load` has."""
    data = read(path)
    for ending, (kind, _, reader) in _OTHERS.items():
        if os.fspath(path).endswith(ending) and not is_archive(data):
            raise ValueError(
                f"load: path must be a file that save wrote; got {path}, {kind}: "
                f"{reader} reads it, and mlpkern convert makes an .npz of it"
            )
    with refusing(os.fspath(path)):
        return network_of(arrays_in(data, check_members))


def check_members(names: list[str]) -> None:
    """Refuses a file of other arrays than a network's and a training's."""
    if sorted(name for name in names if not name.startswith("training")) != sorted(_MEMBERS):
        raise ValueError(f"it must hold {', '.join(_MEMBERS)}, and nothing else")


def network_of(arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, dict[str, Any]]:
    """Return the network and the metadata of a file's arrays."""
    model, parameters = as_object(arrays["model"], "model"), arrays["parameters"]
    net = build(model, parameters.dtype, parameters.size)
    net.parameters[...] = parameters
    return net, as_object(arrays["metadata"], "metadata")


def describe(who: str, net: Any) -> dict[str, Any]:
    """Return the architecture of a network as files hold it; errors as `save` has."""
    if not hasattr(net, "config") or not hasattr(net, "parameters"):
        raise TypeError(f"{who} needs a network such as an MLP, not {type(net).__name__}")
    model = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": net.parameters.dtype.name,
        "config": net.config(),
    }
    count_parameters(model["config"])
    return model


def checked_metadata(metadata: Mapping[str, Any] | None) -> str:
    """Return the metadata as JSON."""
    try:
        return json.dumps(dict(metadata or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be what JSON can hold: {error}") from None


def build(model: dict[str, Any], dtype: np.dtype[Any], size: int) -> Any:
    """Return the network of an architecture that `size` parameters of a dtype came with.

    Nothing is built, and no memory reserved, where the parameters are not what it needs.
    """
    if model.get("format") != FORMAT:
        raise ValueError(f"its format must be {FORMAT!r}, not {model.get('format')!r}")
    if model.get("version") != VERSION:
        raise ValueError(f"its version must be {VERSION}, not {model.get('version')!r}")
    name = model.get("dtype")
    if name not in _DTYPES or dtype != _DTYPES[name]:
        raise ValueError(f"its dtype is {name!r}, and its parameters are {dtype}")
    config: Any = model.get("config")
    count = count_parameters(config)
    if count == size:  # asked before building reserves the memory, and after it
        net = mk.from_config(config, np.dtype(name))
        count = net.parameters.size
    if count != size:
        raise ValueError(f"its network has {count} parameters, and it holds {size}")
    return net


def count_parameters(config: Any) -> int:
    """Return the number of parameters of an architecture; ValueError where it has too many maps."""
    count, maps = _measure(config, [])
    if maps > MOST_MAPS:
        raise ValueError(f"a network in a file may have {MOST_MAPS} maps, not {maps}")
    return count


def _measure(config: Any, seen: list[int]) -> tuple[int, int]:
    """Return the numbers of parameters and of maps, a shared map counted wherever it occurs.

    `seen` has the maps inside each map so far: a few shared maps may stand for billions.
    """
    if not isinstance(config, dict):
        raise ValueError(f"an architecture must be a JSON object, not {type(config).__name__}")
    kind, parts = config.get("type"), config.get("maps", [])
    if kind == "Shared":
        index = config.get("index")
        if type(index) is not int or not 0 <= index < len(seen):
            raise ValueError(f"a shared map must be one of {len(seen)}, not {index!r}")
        return 0, seen[index]
    if kind == "Linear":
        seen.append(1)
        inputs, outputs = (_size(config.get(name)) for name in ("inputs", "outputs"))
        return inputs * outputs + (outputs if config.get("bias") else 0), 1
    if not isinstance(parts, list):
        raise ValueError(f"maps must be a list, not {type(parts).__name__}")
    place, count, maps = len(seen), 0, 1
    if kind in ("Chain", "Sum"):
        seen.append(1)
    for part in parts:
        inside = _measure(part, seen)
        count, maps = count + inside[0], maps + inside[1]
    if kind in ("Chain", "Sum"):
        seen[place] = maps
    return count, maps


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"a linear map's sizes must be whole numbers, not {value!r}")
    return value
