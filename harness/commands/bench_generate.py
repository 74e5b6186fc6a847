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
from harness.bench.row import as_records
from harness.errors import InputError
from harness.hf import Checkpoint, find, named

ABOUT = "Whole decode steps of a model under each method, and where their time goes."
SHOWN = ["batch", "seq", "method", "params", "backend", "compression", "ms_per_token", "attention_ms", "rest_ms"]
SHOWN += ["model_ms", "tokens_per_second", "speedup"]


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The command's own options."""
    what = bench.add_argument_group("what is timed")
    what.add_argument("--model", default="smollm2", metavar="NAME", help="a file of conf/model/, default smollm2")
    what.add_argument("--batch", type=int, nargs="+", default=[1], metavar="ROWS", help="rows, default 1")
    what.add_argument("--s", type=int, nargs="+", default=[1024], metavar="TOKENS", help="cached, default 1024")
    what.add_argument("--method", nargs="+", default=["dense", "sparq"], metavar="NAME", help="default dense sparq")
    what.add_argument("--ratio", type=float, default=8, metavar="C", help="compression to solve knobs for, default 8")


def bench_generate(
    checkpoint: Checkpoint, batch: list[int], s: list[int], method: list[str], ratio: float
) -> pd.DataFrame:
    """One row per shape, method and backend. Raises InputError for an unknown method or a ratio out of reach."""
    _check(batch, s, ratio)
    chosen = {length: [solved(checkpoint, name, ratio, length) for name in method] for length in s}
    bench = Bench(checkpoint, checkpoint.load(), copy_bandwidth(torch.device(checkpoint.device)))
    rows = []
    for row in bench.grid(batch, chosen):
        rows.append(row)
        sys.stderr.write(
            f"batch {row.batch}, {row.seq} tokens, {row.method} ({row.backend}): {row.ms_per_token:.2f} ms\n"
        )
    if not rows:
        raise InputError("none of these shapes fits into memory: ask for a smaller --batch or --s")
    return pd.DataFrame(as_records(rows)).assign(copy_gbps=bench.bandwidth / 1e9)


def run(given: dict[str, Any]) -> None:
    """Measure, print, and write the CSV."""
    out, commit, model = given.pop("out"), given.pop("commit"), given.pop("model")
    checkpoint = find(named(model))
    about = describe(torch.device(checkpoint.device), commit)
    table = bench_generate(checkpoint, **given)
    tell(", ".join(f"{name} {value}" for name, value in about.items()), table.assign(**about), SHOWN, out)


def _check(batch: list[int], s: list[int], ratio: float) -> None:
    for axis, values, least in (("batch", batch, 1), ("s", s, SHORTEST), ("ratio", [ratio], 1)):
        if not min(values) >= least:
            raise InputError(f"{axis} must be at least {least}, not {min(values):g}")
