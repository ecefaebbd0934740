"""How `train` trains: its optimizer, schedule, dropout and checkpoints, as arguments."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import mlpkern as mk

from .common import UsageError, counted, fraction, positive, positive_float

OPTIMIZERS = {
    "sgd": mk.SGD,
    "adam": mk.Adam,
    "adamw": mk.AdamW,
    "rmsprop": mk.RMSprop,
    "adagrad": mk.Adagrad,
}

# By name: the numbers that may stand behind it, and what makes one of the epochs to go and of them.
_SCHEDULES: dict[str, tuple[str, Callable[..., mk.Schedule]]] = {
    "constant": ("[factor]", lambda epochs, factor=1.0: mk.ConstantSchedule(factor)),
    "step": (
        "step_size[,gamma]",
        lambda epochs, step_size, gamma=0.1: mk.StepSchedule(step_size, gamma),
    ),
    "exponential": ("gamma", lambda epochs, gamma: mk.ExponentialSchedule(gamma)),
    "cosine": ("[minimum]", lambda epochs, minimum=0.0: mk.CosineSchedule(epochs, minimum)),
    "one-cycle": (
        "[peak_at[,start_factor[,end_factor]]]",
        lambda epochs, *numbers: mk.OneCycle(epochs, *numbers),
    ),
    "plateau": (
        "[factor[,patience]]",
        lambda epochs, factor=0.1, patience=10.0: mk.ReduceOnPlateau(factor, _whole(patience)),
    ),
}


def _whole(number: float) -> Any:
    return int(number) if number.is_integer() else number


def _forms() -> str:
    """Return how each schedule is written."""
    return ", ".join(
        f"{name}[:{form[1:]}" if form[0] == "[" else f"{name}:{form}"
        for name, (form, _) in _SCHEDULES.items()
    )


def add(parser: argparse._ActionsContainer) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--optimizer", choices=tuple(OPTIMIZERS), default="adam", help="default: %(default)s"
    )
    parser.add_argument(
        "--lr", type=positive_float, metavar="LR", help="learning rate (default: the optimizer's)"
    )
    parser.add_argument(
        "--schedule",
        type=_schedule,
        metavar="NAME[:A[,B]]",
        help=f"of the learning rate: {_forms()}; times in epochs",
    )
    parser.add_argument(
        "--warm-up",
        type=positive_float,
        metavar="EPOCHS",
        help="raise the learning rate over so many epochs first",
    )
    parser.add_argument(
        "--weight-decay", type=positive_float, metavar="W", help="default: the optimizer's"
    )
    parser.add_argument(
        "--clip-norm",
        type=positive_float,
        metavar="NORM",
        help="make gradients smaller whose norm is greater",
    )
    parser.add_argument(
        "--dropout", type=fraction, metavar="P", help="behind each hidden layer (default: none)"
    )


def add_checkpoints(parser: argparse._ActionsContainer) -> None:
    """Declare the arguments about checkpoints."""
    parser.add_argument(
        "--checkpoint", metavar="FILE.npz", help="where to write all that --resume needs"
    )
    parser.add_argument(
        "--checkpoint-every",
        type=positive,
        metavar="N",
        help="epochs from one checkpoint to the next (default: 1)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint where there is one, to --epochs in all",
    )


def check(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    for name in ("checkpoint_every", "resume"):
        if getattr(args, name) and not args.checkpoint:
            raise UsageError(f"--{name.replace('_', '-')} needs --checkpoint")
    if args.checkpoint and not args.resume and os.path.exists(args.checkpoint):
        raise UsageError(
            f"{args.checkpoint} is there already: --resume goes on from it; "
            "to begin anew, delete it or name another file"
        )
    if args.dropout is not None and not args.hidden:
        raise UsageError("--dropout needs a hidden layer to drop from, and --hidden is none")
    if args.warm_up and args.warm_up >= args.epochs:
        raise UsageError(f"--warm-up must be less than --epochs {args.epochs}, not {args.warm_up}")


def to_resume(args: argparse.Namespace) -> str | None:
    """Return what to say of the checkpoint that training goes on from, where there is one."""
    if not args.resume or not os.path.exists(args.checkpoint):
        return None
    done = len(mk.load_checkpoint(args.checkpoint).history["loss"])
    return f"resuming  {args.checkpoint}, {done} of {counted(args.epochs, 'epochs')} done"


@contextlib.contextmanager
def telling_how_to_go_on(args: argparse.Namespace) -> Iterator[None]:
    """Has an interrupt inside tell what the checkpoint holds, where one was written."""
    try:
        yield
    except KeyboardInterrupt:
        text = None
        with contextlib.suppress(OSError, ValueError):
            text = _held(args)
        raise KeyboardInterrupt(*filter(None, [text])) from None


def _held(args: argparse.Namespace) -> str | None:
    if not args.checkpoint or not os.path.exists(args.checkpoint):
        return None
    state = mk.load_checkpoint(args.checkpoint)
    row, rows = state.epoch[0], state.samples["rows"]
    part = f" and {row} of {counted(rows, 'rows')} of the next" if row else ""
    epochs = f"{len(state.history['loss'])} of {counted(args.epochs, 'epochs')}"
    return f"{args.checkpoint} holds {epochs}{part}: --resume goes on from it"


def optimizer(net: Any, args: argparse.Namespace) -> Any:
    """Return the optimizer; what was not given is left to it."""
    given = {name: getattr(args, name) for name in ("lr", "weight_decay", "clip_norm")}
    return OPTIMIZERS[args.optimizer](net, **{k: v for k, v in given.items() if v is not None})


def arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `fit` that are about schedules and checkpoints."""
    checkpoint = None
    if args.checkpoint:
        checkpoint = mk.Checkpoint(args.checkpoint, epochs=args.checkpoint_every)
    schedule = args.schedule and args.schedule(args.epochs - (args.warm_up or 0.0))
    if args.warm_up:
        schedule = mk.WarmUp(args.warm_up, schedule)
    return {"schedule": schedule, "checkpoint": checkpoint, "resume": args.resume}


def _schedule(text: str) -> Callable[[float], mk.Schedule]:
    """Return what makes a schedule of the epochs to go, for argparse."""
    name, _, rest = text.partition(":")
    if name not in _SCHEDULES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_SCHEDULES)}, not {name!r}")
    form, make = _SCHEDULES[name]
    otherwise = argparse.ArgumentTypeError(f"{name} takes {form}, not {rest!r}")
    try:
        numbers = [float(number) for number in rest.split(",")] if rest else []
    except ValueError:
        raise otherwise from None
    try:
        make(1.0, *numbers)
    except TypeError:  # too few, too many, or not whole
        raise otherwise from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return lambda epochs: make(epochs, *numbers)
