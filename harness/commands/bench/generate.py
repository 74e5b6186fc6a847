"""`harness bench generate` times whole decode steps of a model."""

from __future__ import annotations

import argparse

from harness.bench.output import add_result_arguments, check_out, write_table
from harness.commands.compose import model_spec
from harness.commands.parser import Parser

ABOUT = "Time whole decode steps of a model under each method, and where their time goes."
EXAMPLES = """examples:
  harness bench generate --model smollm2 --s 1024
  harness bench generate --model llama-2-7b-shape --batch 1 16 --s 8192 --method dense sparq h2o --out times.csv

A model with random weights (a name ending in -shape) needs no download.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what is timed."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what is timed")
    what.add_argument("--model", default="smollm2", metavar="NAME", help="a file of conf/model/, default smollm2")
    what.add_argument("--batch", type=int, nargs="+", default=[1], metavar="ROWS", help="rows, default 1")
    what.add_argument("--s", type=int, nargs="+", default=[1024], metavar="TOKENS", help="cached, default 1024")
    what.add_argument("--method", nargs="+", default=["dense", "sparq"], metavar="NAME", help="default dense sparq")
    what.add_argument("--ratio", type=float, default=8, metavar="C", help="compression to solve knobs for, default 8")
    add_result_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """Measure, print, and write the CSV. Raises InputError for what cannot be measured."""
    from harness.bench.columns import shown
    from harness.bench.generate import bench_generate
    from harness.bench.row import GenerateRow
    from harness.hf import find

    check_out(given.out)
    checkpoint = find(model_spec(given.model))
    table = bench_generate(checkpoint, given.batch, given.s, given.method, given.ratio, given.commit)
    about = table.iloc[0][["device", "torch", "triton", "commit"]]
    write_table(", ".join(f"{name} {value}" for name, value in about.items()), table, shown(GenerateRow), given.out)
