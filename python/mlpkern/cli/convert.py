"""Convert a saved network to another format, told by the names' endings.

    mlpkern convert model.npz model.onnx
    mlpkern convert model.onnx model.safetensors

Endings are .npz, .safetensors and .onnx; the last two need the libraries of
their names. Metadata (classes, columns, how it was trained) go along, but for
ONNX, which has no place for them. OUT is written whole or not at all.
"""

import argparse
from pathlib import Path
from typing import Any

import mlpkern as mk
from mlpkern.formats.safetensors import load_safetensors_with_metadata
from mlpkern.persistence import load_with_metadata

from .common import UsageError, counted, to_json

ENDINGS = (".npz", ".safetensors", ".onnx")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="IN", type=Path, help="a file that there is")
    parser.add_argument("target", metavar="OUT", type=Path, help="the file to write")
    parser.add_argument(
        "--opset", type=int, metavar="N", help="of the ONNX operators to write (default: 17)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Read one file and write the other."""
    for path in (args.source, args.target):
        if path.suffix not in ENDINGS:
            raise UsageError(f"names must end in {', '.join(ENDINGS)}; got {path.name}")
    if args.opset is not None and args.target.suffix != ".onnx":
        raise UsageError("--opset goes with an OUT that ends in .onnx")
    net, metadata = _read(args.source)
    _write(args.target, net, metadata, args.opset)
    dtype = "float32" if net.dtype is None else str(net.dtype)
    left_out = sorted(metadata) if args.target.suffix == ".onnx" else []
    facts = {"parameters": int(net.parameters.size), "dtype": dtype, "left_out": left_out}
    if args.json:
        print(to_json(facts))
        return
    print(f"{args.target}: {net!r}, {counted(net.parameters.size, 'parameters')}, {dtype}")
    if left_out:
        print(f"metadata left out: {', '.join(left_out)}")


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    if path.suffix == ".onnx":
        return mk.from_onnx(path), {}
    load = load_with_metadata if path.suffix == ".npz" else load_safetensors_with_metadata
    return load(path)


def _write(path: Path, net: Any, metadata: dict[str, Any], opset: int | None) -> None:
    if path.suffix == ".onnx":
        mk.to_onnx(net, path, **({} if opset is None else {"opset": opset}))
    else:
        save = mk.save if path.suffix == ".npz" else mk.save_safetensors
        save(path, net, metadata)
