"""Say what this installation is: version, instruction set, threads, machine."""

import argparse

import mlpkern as mk

from .common import machine, to_json


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Print it."""
    facts = machine() | {"isas": list(mk.isas())} | mk.runtime_info()
    if args.json:
        print(to_json(facts))
        return
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        print(f"{name:<12} {text}")
