"""`harness plan` tells what `harness run` with the same arguments will cost."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.commands.compose import compositions
from harness.commands.parser import Parser
from harness.commands.run import add_folder

ABOUT = "Count the example runs, tokens, memory and GPU-hours of a sweep, before it runs."
EXAMPLES = """examples:
  harness plan experiment=paper_grid model=llama-2-7b-shape
  harness plan -m model=llama-2-7b,mistral-7b task=squad experiment=paper_grid

The arguments are those of `harness run`. No weights are read, a model's configuration is.
"""


def add_arguments(parser: Parser) -> None:
    """Declare the arguments, which are those of `harness run`."""
    parser.epilog = EXAMPLES
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for `harness run`")
    parser.add_argument("-m", "--multirun", action="store_true", help="as for `harness run`; understood without it too")
    add_folder(parser)


def run(given: argparse.Namespace) -> None:
    """Print sizes and hours of the jobs that `harness run` would run; shards do not change them. Raises InputError."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    from harness.sweep.workload import forecast  # needs torch

    whole = [override for override in given.overrides if not override.startswith(("shards=", "shard="))]
    with _quiet():
        text = forecast(compositions(whole, given.config_dir))
    sys.stdout.write(text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the log lines of libraries, such as one for each time that the hub did not answer."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
