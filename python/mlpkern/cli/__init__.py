"""The command line: `mlpkern`, or `python -m mlpkern`.

A subcommand is a module with `add(parser)`, which declares its arguments, and `run(args)`. It
prints its answer, and raises what it cannot do: `main` turns that into one line and an exit code.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

import mlpkern as mk

from . import bench, convert, demo, gradcheck, info, plot, predict, ranks, train
from .common import UsageError

_COMMANDS = (demo, train, predict, convert, gradcheck, bench, plot, info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a failure, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):  # a sign that a terminal lacks must not end a training
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser = _parser()
    try:
        with ranks.said_once():
            args = parser.parse_args(argv)
    except SystemExit as stop:  # after --help, or a line about wrong usage
        return int(stop.code or 0)
    try:
        args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        print(f"{parser.prog} {args.command}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as interrupt:  # its text, where it has one, is how to go on
        with ranks.said_once():
            said = "; ".join(("interrupted", *map(str, interrupt.args)))
            print(f"{parser.prog} {args.command}: {said}", file=sys.stderr)
        ranks.end(130)
        return 130
    except (
        ArithmeticError,
        ImportError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        print(f"{parser.prog} {args.command}: error: {_line(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlpkern",
        description="Train, use and measure multilayer perceptrons on the CPU.",
        epilog="mlpkern COMMAND --help tells more about one of them.",
    )
    parser.add_argument("--version", action="version", version=f"mlpkern {mk.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2]
        assert module.__doc__
        summary, _, rest = module.__doc__.partition("\n")
        command = commands.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=f"{summary}{rest}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add(command)
        command.set_defaults(run=module.run)
    return parser


def _line(error: Exception) -> str:
    """Return what went wrong, on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__
