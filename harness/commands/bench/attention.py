"""`harness bench attention` runs the paper's microbenchmark."""

from __future__ import annotations

import argparse

from harness.bench.output import add_result_arguments, check_out, write_table
from harness.commands.parser import Parser

ABOUT = "Time attention of one decode step: every SDPA backend, and the methods by their kernels or by PyTorch."
EXAMPLES = """examples:
  harness bench attention --s 4096 --batch 1 64                     on a GPU: kernels against PyTorch's backends
  harness bench attention --method dense sparq h2o --out times.csv
  harness bench attention --rivals                                  FlashAttention-3 and FlashInfer beside them
  harness bench attention --rivals fa3 my_kernels:attend            one library, and a function of yours

A function of yours is called as fn(q [B, Hq, D], k [B, H, N, D], v [B, H, N, D], scale) -> [B, Hq, D] and computes
dense attention. A library that is not installed has a line that says so.

Nothing is timed unless its result agrees with the method in float64.
"""
AXES = {"s": "cached tokens", "batch": "rows", "r": "channels of SparQ", "k": "tokens kept", "k-stored": "copies of K"}
DEFAULTS = {"s": 4096, "batch": 64, "r": 32, "k": 128, "k-stored": 2}


def add_arguments(parser: Parser) -> None:
    """Declare the grid, the shape, and how it is measured."""
    parser.epilog = EXAMPLES
    grid = parser.add_argument_group("axes of the grid, each one or more values")
    for axis, about in AXES.items():
        default = DEFAULTS[axis]
        grid.add_argument(f"--{axis}", type=int, nargs="+", default=[default], metavar="N", help=f"{about}, {default}")
    grid.add_argument("--method", nargs="+", default=["dense", "sparq"], metavar="NAME", help="dense sparq")
    shape = parser.add_argument_group("shape")
    shape.add_argument("--heads", type=int, default=32, metavar="N", help="query heads, 32")
    shape.add_argument("--kv-heads", type=int, metavar="N", help="KV heads, as many as query heads")
    shape.add_argument("--d", type=int, default=128, metavar="N", help="head dimension, 128")
    shape.add_argument("--dtype", default="float16", metavar="TYPE", help="float16, bfloat16 or float32; float16")
    how = parser.add_argument_group("how it is measured")
    how.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N; auto")
    how.add_argument("--kernel", default="auto", metavar="NAME", help="auto, torch or triton; auto")
    how.add_argument("--samples", type=int, default=20, metavar="N", help="timed repeats, 20")
    rivals = "libraries or module:function, timed beside; without a NAME every library"
    how.add_argument("--rivals", nargs="*", metavar="NAME", help=rivals)
    add_result_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """Measure, print, and write the CSV. Raises InputError for what cannot be measured."""
    from harness.bench.attention import bench_attention
    from harness.bench.columns import shown
    from harness.bench.row import AttentionRow

    check_out(given.out)
    asked = {name: value for name, value in vars(given).items() if name not in ("arguments", "out")}
    table = bench_attention(**asked)
    first = table.iloc[0]
    about = (
        f"{first['device']}, torch {first['torch']}, triton {first['triton']}, commit {first['commit']}, copy "
        f"{first['copy_gbps']:.0f} GB/s, {first['dtype']}, timed by {table['clock'].dropna().max()}"
    )
    write_table(about, table, shown(AttentionRow), given.out)
