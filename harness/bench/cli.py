"""`harness bench attention` and `harness bench generate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.bench import end_to_end
from harness.bench.attention import bench_attention

SHOWN = ["batch", "s", "heads", "kv_heads", "method", "path", "r", "k", "k_stored", "us", "us_p10", "us_p90"]
SHOWN += ["gbps", "copy_share", "speedup_theory", "speedup"]


def bench_command(arguments: Sequence[str]) -> None:
    """Print a table, write a CSV. Raises InputError for what cannot be measured."""
    given = vars(_parser().parse_args(arguments))
    {"attention": _attention, "generate": end_to_end.run}[given.pop("what")](given)


def _attention(given: dict[str, Any]) -> None:
    out = given.pop("out")
    table = bench_attention(**given)
    about = table.iloc[0]
    sys.stdout.write(
        f"{about['device']}, torch {about['torch']}, triton {about['triton']}, commit {about['commit']}, copy "
        f"{about['copy_gbps']:.0f} GB/s, {about['dtype']}, timed by {about['clock']}\n"
    )
    sys.stdout.write(table[SHOWN].to_string(index=False, float_format="{:.2f}".format) + "\n")
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out, index=False, float_format="%.6g")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    end_to_end.add_arguments(commands.add_parser("generate", help="a decode step of a whole model"))
    bench = commands.add_parser("attention", help="attention of one decode step")
    for axis, default in {"s": 4096, "batch": 64, "r": 32, "k": 128, "k-stored": 2}.items():
        bench.add_argument(f"--{axis}", type=int, nargs="+", default=[default], help=f"default {default}")
    bench.add_argument("--method", nargs="+", default=["dense", "sparq"], help="default dense sparq")
    bench.add_argument("--heads", type=int, default=32, help="query heads")
    bench.add_argument("--kv-heads", type=int, help="KV heads, default as many")
    bench.add_argument("--d", type=int, default=128, help="head dimension")
    bench.add_argument("--dtype", default="float16", help="float16, bfloat16 or float32")
    bench.add_argument("--device", default="auto", help="auto, cuda or cpu")
    bench.add_argument("--kernel", default="auto", help="auto, torch or triton")
    bench.add_argument("--samples", type=int, default=20, help="timed repeats")
    bench.add_argument("--commit", help="what to note as the commit where there is no git")
    bench.add_argument("--out", help="a CSV file to write; `harness figures --bench` draws it")
    return parser
