"""`harness bench attention` and `harness bench generate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from harness.bench.output import add_result_arguments, check_out
from harness.commands import bench_attention, bench_generate

COMMANDS = {"attention": bench_attention, "generate": bench_generate}


def bench_command(arguments: Sequence[str]) -> None:
    """Print a table, write a CSV. Raises InputError for what cannot be measured."""
    given = vars(_parser().parse_args(arguments))
    check_out(given["out"])
    COMMANDS[given.pop("what")].run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness bench", description="How long a decode step takes.")
    commands = parser.add_subparsers(dest="what", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.ABOUT, description=command.ABOUT)
        command.add_arguments(own)
        add_result_arguments(own)
    return parser
