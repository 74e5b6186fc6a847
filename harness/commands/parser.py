"""Finds commands by file and reads their arguments."""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from harness.errors import InputError


class Parser(argparse.ArgumentParser):
    """Reads the arguments of a command; a mistake is one sentence that names the command's help.

    Positional arguments may stand between options, unless `intermixed` is False: from the first of them on, all is
    then another program's to read.
    """

    intermixed = True

    def __init__(self, prog: str, about: str) -> None:
        super().__init__(
            prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(f"{message} (see `{self.prog} --help`)")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the words that follow the command's name. Raises InputError."""
        parse = self.parse_intermixed_args if self.intermixed else self.parse_args
        return parse(arguments, argparse.Namespace(arguments=[*arguments]))


class Command(Protocol):
    """Describes what a command's file offers beside ABOUT."""

    def add_arguments(self, parser: Parser) -> None:
        """Declare options and examples."""
        ...

    def run(self, given: argparse.Namespace) -> None:
        """Do what the command is for. Raises InputError or RunError."""
        ...


class Found(NamedTuple):
    """Tells where a command is, what it is for, and whether it is a folder of subcommands."""

    module: str
    about: str
    is_folder: bool


def call(arguments: Sequence[str], package: str = "harness.commands", prog: str = "harness") -> None:
    """Run the command that the first word names, with the words after it; without one, or for --help, list them.

    Raises InputError for an unknown command or a bad argument, and what the command raises.
    """
    known = find_commands(package)
    name, *rest = arguments or ["--help"]
    if name == "help":
        name, *rest = [*rest, "--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(_overview(package, known, prog))
    elif name not in known:
        raise InputError(f"unknown command '{name}': choose from {', '.join(known)} (see `{prog} --help`)")
    elif known[name].is_folder:
        call(rest, known[name].module, f"{prog} {name}")
    else:
        parser = Parser(f"{prog} {name}", known[name].about)
        command = cast("Command", importlib.import_module(known[name].module))
        command.add_arguments(parser)
        command.run(parser.read(rest))


def find_commands(package: str) -> dict[str, Found]:
    """Find the commands of a package by name: its modules and packages with ABOUT, in alphabetical order."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
    found = [Found(name, _read_about(finder, name), is_folder) for finder, name, is_folder in modules]
    named = {one.module.rpartition(".")[2].replace("_", "-"): one for one in found if one.about}
    return dict(sorted(named.items()))


def _read_about(finder: Any, module: str) -> str:
    """Read ABOUT of a file without importing it, which may take seconds; "" if it has none."""
    for node in ast.parse(Path(finder.find_spec(module).origin).read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="ABOUT")], value=ast.Constant(value=str(text))):
                return text
    return ""


def _overview(package: str, known: Mapping[str, Found], prog: str) -> str:
    """Lay out what a package of commands is for, and each of them."""
    about: Any = importlib.import_module(package)
    width = max(map(len, known))
    lines = [f"usage: {prog} COMMAND ...", "", about.ABOUT, ""]
    lines += [f"  {name:<{width}}  {one.about}" for name, one in known.items()]
    return "\n".join([*lines, "", f"`{prog} COMMAND --help` tells what to type.", about.EPILOG])
