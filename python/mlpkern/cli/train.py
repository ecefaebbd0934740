"""Train a classifier or a regressor on a file of data, and save it.

DATA is a CSV file whose first line names the columns; an NPZ file with x and y,
or with x_train, y_train, x_test and y_test; or a folder with the four IDX files
that MNIST comes in, gzipped or not. Where it has no test part, some rows are
held out, and nothing but the reported quality is computed from them. How
columns are scaled is a part of the saved network: it takes raw rows. A column
of a CSV file without any number holds text: each of its different texts, at
most 100, is an input of 1 or 0, and one that no training row has is 0 of all.
Started by mpiexec, all ranks train together.
"""

import argparse
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from mlpkern.datasets import Dataset, prepare, read_table
from mlpkern.persistence import save

from . import ranks, training_options
from .common import (
    UsageError,
    activation,
    add_threads,
    can_show_progress,
    counted,
    fraction,
    positive,
    seed,
    threads,
    to_json,
    widths,
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    data = parser.add_argument_group("data")
    data.add_argument("--data", required=True, metavar="PATH", help="file or folder to learn from")
    data.add_argument(
        "--task",
        choices=("auto", "classification", "regression"),
        default="auto",
        help="what to learn; auto takes text, and whole numbers of few different values, "
        "for classes (default: %(default)s)",
    )
    data.add_argument(
        "--target", metavar="COLUMN", help="the column of a CSV file to predict (default: the last)"
    )
    data.add_argument(
        "--ignore",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="COLUMN[,COLUMN...]",
        help="columns of a CSV file to leave out",
    )
    data.add_argument(
        "--test-fraction",
        type=fraction,
        default=0.2,
        metavar="F",
        help="rows to hold out where the data has no test part (default: %(default)s)",
    )
    network = parser.add_argument_group("network and training")
    network.add_argument(
        "--hidden",
        type=lambda text: () if text == "none" else widths(",")(text),
        default=(128,),
        metavar="N[,N...]",
        help="widths of the hidden layers, or none (default: 128)",
    )
    network.add_argument(
        "--activation", type=activation, default="relu", metavar="NAME", help="default: %(default)s"
    )
    network.add_argument(
        "--epochs", type=positive, default=10, metavar="N", help="default: %(default)s"
    )
    network.add_argument(
        "--batch-size", type=positive, default=128, metavar="N", help="default: %(default)s"
    )
    training_options.add(network)
    network.add_argument(
        "--early-stopping",
        type=positive,
        metavar="PATIENCE",
        help="hold out a tenth of the training rows, stop once their loss has not fallen for "
        "PATIENCE epochs, and keep the best parameters",
    )
    network.add_argument("--seed", type=seed, default=0, metavar="N", help="default: %(default)s")
    add_threads(network)
    training_options.add_checkpoints(parser.add_argument_group("checkpoints"))
    output = parser.add_argument_group("output")
    output.add_argument("--save", metavar="FILE.npz", help="where to save the model")
    output.add_argument(
        "--json", action="store_true", help="print one JSON object; the report goes to stderr"
    )


@ranks.on_all_ranks
def run(args: argparse.Namespace) -> None:
    """Train, report, save."""
    training_options.check(args)
    report = sys.stderr if args.json else sys.stdout
    table = read_table(args.data, args.target, args.ignore)
    data = prepare(table, args.task, args.test_fraction, args.seed)
    net, loss = _network(data, args)
    model = _model(net, data)
    optimizer = training_options.optimizer(net, args)
    shape = "-".join(str(width) for width in (data.x_train.shape[1], *args.hidden, _outputs(data)))
    learned = f"{len(data.classes)} classes" if data.classes else f"target {data.target}"
    columns = f" of {counted(len(data.columns), 'columns')}" if data.categories else ""
    print(
        f"data      {counted(len(data.x_train), 'training rows')}, "
        f"{counted(len(data.x_test), 'test rows')}, "
        f"{counted(data.x_train.shape[1], 'inputs')}{columns}, {learned}\n"
        f"network   {shape}, {args.activation!r}, {counted(net.parameters.size, 'parameters')}",
        file=report,
        flush=True,
    )
    if data.unseen:
        print(
            f"note      {counted(data.unseen, 'test rows')} with a category that no training row "
            "has: taken as none of the others",
            file=report,
        )
    if ranks.first() and (text := training_options.to_resume(args)):
        print(text, file=report, flush=True)
    with threads(args.threads), training_options.telling_how_to_go_on(args):
        history = _fit(net, loss, optimizer, *_standardized(data), args)
        result = _quality(model, data)
        count = mk.get_num_threads()
    epochs, seconds = len(history["loss"]), history.seconds
    print(
        f"training  {counted(epochs, 'epochs')} in {seconds:.2f} s, {counted(count, 'threads')}, "
        f"{mk.isa()}, "
        f"loss {history['loss'][-1]:.4g}\n" + _quality_line(result, data),
        file=report,
    )
    result |= {
        "task": data.task,
        "seconds": seconds,
        "epochs": epochs,
        "loss": history["loss"][-1],
        "network": shape,
        "parameters": int(net.parameters.size),
        "train_rows": len(data.x_train),
        "test_rows": len(data.x_test),
        "threads": count,
        "isa": mk.isa(),
        "saved": args.save,
        "checkpoint": args.checkpoint,
    }
    if args.save and ranks.first():
        save(args.save, model, _metadata(data, result, history))
        print(f"saved     {args.save}", file=report)
    if args.json:
        report.flush()
        print(to_json(result))


def _outputs(data: Dataset) -> int:
    return len(data.classes) if data.classes else int(data.y_train.shape[1])


def _network(data: Dataset, args: argparse.Namespace) -> tuple[Any, Any]:
    """Return the network that is trained, on standardized numbers, and its loss."""
    sizes = [data.x_train.shape[1], *args.hidden, _outputs(data)]
    output = "softargmax" if data.classes else "identity"
    dtype = data.x_train.dtype
    net = mk.MLP(
        sizes,
        hidden=args.activation,
        output=output,
        dtype=dtype,
        seed=args.seed,
        dropout=args.dropout or 0.0,
    )
    return net, mk.CrossEntropy() if data.classes else mk.MeanSquaredError()


def _model(net: Any, data: Dataset) -> Any:
    """Return the network between what standardizes its inputs and the way back to the targets."""
    before = [] if data.x_scaling is None else [data.x_scaling]
    behind = [] if data.y_scaling is None else [data.y_scaling.inverse()]
    return mk.Chain(*before, net, *behind) if before or behind else net


def _standardized(data: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the training part as the network takes it: x and y."""
    x, y = data.x_train, data.y_train
    if data.x_scaling is not None:
        x = data.x_scaling.predict(x)
    if data.y_scaling is not None:
        y = data.y_scaling.predict(y).astype(x.dtype)
    return x, y


def _fit(
    net: Any, loss: Any, optimizer: Any, x: NDArray[Any], y: NDArray[Any], args: argparse.Namespace
) -> Any:
    """Return the history of the training."""
    callbacks: list[Any] = []
    if not can_show_progress():
        callbacks.append(lambda history: _say(history, args))
    validation = None
    if args.early_stopping:
        order = np.random.default_rng(args.seed).permutation(len(x))
        count = len(x) // 10
        if count == 0:
            raise UsageError(f"--early-stopping needs 10 training rows or more, not {len(x)}")
        held_out, rest = np.sort(order[:count]), np.sort(order[count:])
        validation = (x[held_out], y[held_out])
        x, y = x[rest], y[rest]
        callbacks.append(mk.EarlyStopping(patience=args.early_stopping, restore_best=True))
    return ranks.fit(
        net,
        x,
        y,
        loss=loss,
        optimizer=optimizer,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        validation=validation,
        callbacks=callbacks,
        progress=can_show_progress(),
        **training_options.arguments(args),
    )


def _say(history: Any, args: argparse.Namespace) -> None:
    """Print a line for ten or so of the epochs."""
    epoch = len(history["loss"])
    if epoch % max(args.epochs // 10, 1) == 0:
        losses = ", ".join(f"{name} {values[-1]:.4g}" for name, values in history.items())
        report = sys.stderr if args.json else sys.stdout
        print(f"epoch     {epoch} of {args.epochs}: {losses}", file=report, flush=True)


def _quality(model: Any, data: Dataset) -> dict[str, Any]:
    """Return the quality on the held-out rows: accuracy, or R²."""
    y_pred = model.predict(data.x_test)
    if data.classes:
        correct = int(np.sum(np.argmax(y_pred, axis=1) == data.y_test))
        return {"test_accuracy": correct / len(y_pred), "test_correct": correct}
    return {"test_r2": r2(y_pred, data.y_test)}


def r2(y_pred: NDArray[Any], y: NDArray[Any]) -> float | None:
    """Return the coefficient of determination, the mean over the outputs; None for constant y."""
    total = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    if (total == 0).any():
        return None
    return float(np.mean(1 - np.sum((y - y_pred) ** 2, axis=0) / total))


def _quality_line(result: dict[str, Any], data: Dataset) -> str:
    rows = len(data.x_test)
    if data.classes:
        accuracy = f"{100 * result['test_accuracy']:.2f} %"
        return f"quality   test accuracy {accuracy}, {result['test_correct']} of {rows}"
    if result["test_r2"] is None:
        return "quality   test R² is not defined: the held-out targets are all the same"
    return f"quality   test R² {result['test_r2']:.4f} on {counted(rows, 'rows')}"


def _metadata(data: Dataset, result: dict[str, Any], history: Any) -> dict[str, Any]:
    """Return what `predict` needs beside the network, and how it was trained."""
    return {
        "task": data.task,
        "inputs": data.x_train.shape[1],
        "columns": data.columns,
        "categories": data.categories,
        "target": data.target,
        "classes": data.classes,
        "history": {name: list(values) for name, values in history.items()},
        "result": result,
        "mlpkern": mk.__version__,
    }
