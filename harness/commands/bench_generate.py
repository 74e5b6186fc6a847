"""`harness bench generate`: whole decode steps of a model as a command."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import pandas as pd
import torch

from harness.bench.cases import SHORTEST
from harness.bench.generate import Bench, solved
from harness.bench.machine import copy_bandwidth, describe
from harness.bench.output import tell
from harness.bench.row import GenerateRow, shown, table, with_speedup
from harness.errors import InputError
from harness.hf import Checkpoint, find, named

ABOUT = "Whole decode steps of a model under each method, and where their time goes."


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The command's own options."""
    what = bench.add_argument_group("what is timed")
    what.add_argument("--model", default="smollm2", metavar="NAME", help="a file of conf/model/, default smollm2")
    what.add_argument("--batch", type=int, nargs="+", default=[1], metavar="ROWS", help="rows, default 1")
    what.add_argument("--s", type=int, nargs="+", default=[1024], metavar="TOKENS", help="cached, default 1024")
    what.add_argument("--method", nargs="+", default=["dense", "sparq"], metavar="NAME", help="default dense sparq")
    what.add_argument("--ratio", type=float, default=8, metavar="C", help="compression to solve knobs for, default 8")


def bench_generate(
    checkpoint: Checkpoint,
    batch: list[int],
    s: list[int],
    method: list[str],
    ratio: float,
    commit: str | None = None,
) -> pd.DataFrame:
    """Check and time every shape, method and backend; returns GenerateRows as a table.

    Raises InputError for an unknown method or a ratio out of reach.
    """
    _check(batch, s, ratio)
    chosen = {length: [solved(checkpoint, name, ratio, length) for name in method] for length in s}
    device = torch.device(checkpoint.device)
    bench = Bench(checkpoint, checkpoint.load(), copy_bandwidth(device), describe(device, commit))
    rows = []
    for row in bench.grid(batch, chosen):
        rows.append(row)
        took = row.status if row.ms_per_token is None else f"{row.ms_per_token:.2f} ms"
        sys.stderr.write(f"batch {row.batch}, {row.seq} tokens, {row.method} ({row.backend}): {took}\n")
    return table(with_speedup(rows))


def run(given: dict[str, Any]) -> None:
    """Measure, print, and write the CSV."""
    out, commit, model = given.pop("out"), given.pop("commit"), given.pop("model")
    checkpoint = find(named(model))
    found = bench_generate(checkpoint, **given, commit=commit)
    about = found.iloc[0][["device", "torch", "triton", "commit"]]
    tell(", ".join(f"{name} {value}" for name, value in about.items()), found, shown(GenerateRow), out)


def _check(batch: list[int], s: list[int], ratio: float) -> None:
    for axis, values, least in (("batch", batch, 1), ("s", s, SHORTEST), ("ratio", [ratio], 1)):
        if not min(values) >= least:
            raise InputError(f"{axis} must be at least {least}, not {min(values):g}")
