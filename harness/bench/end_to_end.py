"""`harness bench generate`: whole decode steps of a model, as a table, a CSV and a figure's data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harness.bench.generate import Bench, as_records
from harness.bench.machine import copy_bandwidth, describe
from harness.errors import InputError
from harness.models import find, named

SHOWN = ["batch", "seq", "method", "params", "backend", "compression", "ms_per_token", "attention_ms", "rest_ms"]
SHOWN += ["model_ms", "tokens_per_second", "speedup"]


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The command's own options."""
    bench.add_argument("--model", default="smollm2", help="a file of conf/model/, such as llama-2-7b-shape")
    bench.add_argument("--batch", type=int, nargs="+", default=[1], help="rows decoded together")
    bench.add_argument("--s", type=int, nargs="+", default=[1024], help="cached tokens")
    bench.add_argument("--method", nargs="+", default=["dense", "sparq"])
    bench.add_argument("--ratio", type=float, default=8, help="compression ratio to solve knobs for")
    bench.add_argument("--commit", help="what to note as the commit where there is no git")
    bench.add_argument("--out", help="a CSV file to write")


def bench_generate(model: str, batch: list[int], s: list[int], method: list[str], ratio: float) -> pd.DataFrame:
    """One row per shape, method and backend. Raises InputError for an unknown model, method or ratio."""
    checkpoint = find(named(model))
    bench = Bench(checkpoint, checkpoint.load(), copy_bandwidth(torch.device(checkpoint.device)))
    rows = []
    for row in bench.grid(batch, s, method, ratio):
        rows.append(row)
        sys.stderr.write(
            f"batch {row.batch}, {row.seq} tokens, {row.method} ({row.backend}): {row.ms_per_token:.2f} ms\n"
        )
    if not rows:
        raise InputError("none of these shapes fits into memory: ask for a smaller --batch or --s")
    return pd.DataFrame(as_records(rows)).assign(copy_gbps=bench.bandwidth / 1e9)


def run(given: dict[str, Any]) -> None:
    """Measure, print, and write the CSV."""
    out, commit = given.pop("out"), given.pop("commit")
    table = bench_generate(**given)
    about = describe(torch.device("cuda" if torch.cuda.is_available() else "cpu"), commit)
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    sys.stdout.write(table[SHOWN].to_string(index=False, float_format="{:.2f}".format) + "\n")
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        table.assign(**about).to_csv(out, index=False, float_format="%.6g")
