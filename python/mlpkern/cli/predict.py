"""Predict with a model that `mlpkern train` saved.

DATA is what `train` takes, with or without targets: a CSV file with the columns
that the model was trained on, an NPZ file with x, or a folder of IDX files.
Where a source has a test part, that part is predicted; where it has targets,
the quality is reported. A text that the model does not know from its column is
taken as none of those that it knows, and stderr tells of it.
"""

import argparse
import csv
import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern.datasets import Table, read_inputs
from mlpkern.persistence import load_with_metadata, write_whole

from .common import add_threads, counted, threads, to_json
from .train import r2


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", required=True, metavar="FILE.npz", help="the model to use")
    parser.add_argument("--data", required=True, metavar="PATH", help="what to predict from")
    parser.add_argument(
        "--output", metavar="FILE.csv", help="where to write (default: the terminal)"
    )
    parser.add_argument(
        "--proba", action="store_true", help="add a column for each class's probability"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object; without --output, it holds the predictions",
    )
    add_threads(parser)


@dataclass(frozen=True)
class Recipe:
    """What `train` left in the model's file about inputs and outputs."""

    classes: tuple[str, ...] | None
    columns: tuple[str, ...]
    target: str
    categories: dict[str, list[str]]

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any], path: str) -> "Recipe":
        """Return the recipe; ValueError where the file has none, or a wrong one."""
        if "task" not in metadata:
            raise ValueError(
                f"{path} was not saved by mlpkern train: it says nothing about its data"
            )
        if "scaling" in metadata:
            raise ValueError(
                f"{path} is of an earlier version, whose networks took scaled inputs: train it anew"
            )
        classes, columns = metadata.get("classes"), metadata.get("columns")
        categories = metadata.get("categories", {})
        if not isinstance(categories, dict):
            raise ValueError(f"{path}: categories must be lists of text by the names of columns")
        lists = (columns, [] if classes is None else classes, *categories.values())
        if not all(isinstance(x, list) and all(isinstance(i, str) for i in x) for x in lists):
            raise ValueError(f"{path}: classes, columns and categories must be lists of text")
        assert isinstance(columns, list)
        if not set(categories) <= set(columns):
            raise ValueError(f"{path}: categories must be lists of text by the names of columns")
        return cls(
            None if classes is None else tuple(classes),
            tuple(columns),
            str(metadata.get("target")),
            categories,
        )


def run(args: argparse.Namespace) -> None:
    """Predict, write, report."""
    net, metadata = load_with_metadata(args.model)
    recipe = Recipe.from_metadata(metadata, args.model)
    table = read_inputs(args.data, recipe.columns, recipe.target, recipe.categories)
    for name, (count, text, line) in table.unknown.items():
        print(
            f"note: column {name!r} has {counted(count, 'cells')} of no category that the model "
            f"knows, the first on line {line}, {text!r}: taken as none of them",
            file=sys.stderr,
        )
    inputs = table.x.shape[1]
    if inputs != metadata.get("inputs"):
        raise ValueError(
            f"the model takes {metadata.get('inputs')} inputs, and {args.data} has {inputs}"
        )
    with np.errstate(over="ignore"):  # past float32's range lies infinity
        x = table.x.astype(net.parameters.dtype, copy=False)
    with threads(args.threads):
        y_pred = net.predict(x)
    classes = recipe.classes
    if classes is not None and y_pred.shape[1] != len(classes):
        raise ValueError(
            f"{args.model} has {y_pred.shape[1]} outputs and names {len(classes)} classes"
        )
    if classes is not None and args.proba and not np.isfinite(y_pred).all():
        raise ValueError("the probabilities are not finite")
    header, rows = _rows(y_pred, recipe, args.proba)
    result = {"rows": len(y_pred), "output": args.output, **_quality(y_pred, table, recipe)}
    if args.output:
        write_whole(args.output, lambda file: file.write(_csv(header, rows).encode()))
    if args.json:
        if not args.output:
            result |= {"columns": header, "predictions": rows}
        print(to_json(result))
    elif args.output:
        print(", ".join(f"{name} {value}" for name, value in result.items() if value is not None))
    else:
        sys.stdout.write(_csv(header, rows))


def _rows(y_pred: NDArray[Any], recipe: Recipe, proba: bool) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns and the predictions, a list a row."""
    if recipe.classes is None:
        outputs = y_pred.shape[1]
        names = [recipe.target] if outputs == 1 else [f"{recipe.target}{k}" for k in range(outputs)]
        return names, y_pred.tolist()
    labels = [recipe.classes[k] for k in np.argmax(y_pred, axis=1)]
    if not proba:
        return [recipe.target], [[label] for label in labels]
    rows = [[label, *p] for label, p in zip(labels, y_pred.tolist(), strict=True)]
    return [recipe.target, *(f"p({name})" for name in recipe.classes)], rows


def _csv(header: list[str], rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def _quality(y_pred: NDArray[Any], table: Table, recipe: Recipe) -> dict[str, Any]:
    """Return accuracy or R² where the data has targets of the model's kind, else nothing."""
    y = table.y
    if y is None:
        return {}
    if recipe.classes is not None:
        if y.ndim != 1:
            return {}
        whole = y.dtype.kind == "f" and np.equal(y, np.round(y)).all()
        names = np.char.strip(np.array([str(int(v) if whole else v) for v in y]))
        found = np.array(recipe.classes)[np.argmax(y_pred, axis=1)]
        return {"accuracy": float(np.mean(names == found))}
    if y.dtype.kind not in "fiub" or y.reshape(len(y), -1).shape != y_pred.shape:
        return {}
    return {"r2": r2(y_pred, y.reshape(len(y), -1))}
