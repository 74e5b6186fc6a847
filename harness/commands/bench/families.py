"""`harness bench families` times every method at equal bytes."""

from __future__ import annotations

import argparse
import sys

from harness.bench.output import add_result_arguments, check_out
from harness.commands.parser import Parser
from harness.errors import InputError

ABOUT = "Time attention of one decode step by every method at equal bytes, by its kernel or by PyTorch."
EXAMPLES = """examples:
  harness bench families --out docs/speed/attention_families.csv    on a GPU; scripts/write_families.py quotes it
  harness bench families --shape 1x4096 --method dense quest sparq

Every method is solved for the ratio in the layer that is timed, or for the next lower one that it reaches. A method
without a kernel runs in PyTorch, launched from Python, and the table says torch. Nothing is timed unless its result
agrees with the method in float64 on the first rows; what has no time has a status.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what is timed, and how."""
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what is timed")
    shapes = ["16x8192", "1x131072"]
    what.add_argument("--shape", nargs="+", default=shapes, metavar="BxS", help=f"rows x tokens, {' '.join(shapes)}")
    what.add_argument("--method", nargs="+", metavar="NAME", help="every method that can run")
    what.add_argument("--ratio", type=float, default=8, metavar="C", help="compression to solve knobs for, 8")
    what.add_argument("--heads", type=int, default=32, metavar="N", help="query heads, 32")
    what.add_argument("--kv-heads", type=int, default=8, metavar="N", help="KV heads, 8")
    what.add_argument("--d", type=int, default=128, metavar="N", help="head dimension, 128")
    what.add_argument("--dtype", default="bfloat16", metavar="TYPE", help="float16, bfloat16 or float32; bfloat16")
    how = parser.add_argument_group("how it is measured")
    how.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N; auto")
    how.add_argument("--kernel", default="auto", metavar="NAME", help="auto, torch or triton; auto")
    how.add_argument("--samples", type=int, default=20, metavar="N", help="timed repeats of a kernel, 20")
    how.add_argument("--rows", type=int, default=1, metavar="N", help="rows of a batch that are compared, 1")
    add_result_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """Measure, print the page, and write the CSV. Raises InputError for what cannot be measured."""
    from harness.bench.cases import Layout
    from harness.bench.families import bench_families
    from harness.bench.family_page import page
    from harness.bench.workload import element_type

    check_out(given.out)
    dtype = element_type(given.dtype)
    layouts = [Layout(*_rows_and_tokens(x), given.heads, given.kv_heads, given.d, dtype) for x in given.shape]
    how = given.device, given.kernel, given.samples, given.rows, given.commit
    table = bench_families(layouts, given.method, given.ratio, *how)
    sys.stdout.write(f"{page(table)}\n")
    if given.out is not None:
        table.to_csv(given.out, index=False, float_format="%.6g")


def _rows_and_tokens(text: str) -> tuple[int, int]:
    batch, _, s = text.partition("x")
    if not (batch.isdecimal() and s.isdecimal()):
        raise InputError(f"--shape {text} is no shape: write rows x tokens, such as 16x8192")
    return int(batch), int(s)
