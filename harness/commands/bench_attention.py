"""`harness bench attention`: the paper's microbenchmark as a command."""

from __future__ import annotations

import argparse
from typing import Any

from harness.bench.attention import bench_attention
from harness.bench.output import tell
from harness.bench.row import AttentionRow, shown

ABOUT = "Attention of one decode step: every SDPA backend, and the methods by their kernels or by PyTorch."
AXES = {"s": "cached tokens", "batch": "rows", "r": "channels of SparQ", "k": "tokens kept", "k-stored": "copies of K"}
DEFAULTS = {"s": 4096, "batch": 64, "r": 32, "k": 128, "k-stored": 2}


def add_arguments(bench: argparse.ArgumentParser) -> None:
    """The command's own options."""
    grid = bench.add_argument_group("axes of the grid, each one or more values")
    for axis, told in AXES.items():
        default = DEFAULTS[axis]
        grid.add_argument(f"--{axis}", type=int, nargs="+", default=[default], metavar="N", help=f"{told}, {default}")
    grid.add_argument("--method", nargs="+", default=["dense", "sparq"], metavar="NAME", help="dense sparq")
    shape = bench.add_argument_group("shape")
    shape.add_argument("--heads", type=int, default=32, metavar="N", help="query heads, 32")
    shape.add_argument("--kv-heads", type=int, metavar="N", help="KV heads, as many as query heads")
    shape.add_argument("--d", type=int, default=128, metavar="N", help="head dimension, 128")
    shape.add_argument("--dtype", default="float16", metavar="TYPE", help="float16, bfloat16 or float32; float16")
    how = bench.add_argument_group("how it is measured")
    how.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N; auto")
    how.add_argument("--kernel", default="auto", metavar="NAME", help="auto, torch or triton; auto")
    how.add_argument("--samples", type=int, default=20, metavar="N", help="timed repeats, 20")


def run(given: dict[str, Any]) -> None:
    """Measure, print, and write the CSV."""
    out = given.pop("out")
    table = bench_attention(**given)
    first = table.iloc[0]
    about = (
        f"{first['device']}, torch {first['torch']}, triton {first['triton']}, commit {first['commit']}, copy "
        f"{first['copy_gbps']:.0f} GB/s, {first['dtype']}, timed by {table['clock'].dropna().max()}"
    )
    tell(about, table, shown(AttentionRow), out)
