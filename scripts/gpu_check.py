"""`make gpu-check`: checks that the kernels are right on this machine's GPU, and as fast as the bars say.

Every method that a kernel serves is checked. Prints a line per check and exits with 1 if one is missed, with 2 without
a GPU. Bars of attention are speed-ups over the fastest SDPA backend of the same run; D 128, 32 query heads, mean V
given. What is missed, and why, stands in docs/speed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from gpu_correctness import Check, correctness, served

from harness import kernels
from harness.bench.attention import bench_attention
from harness.errors import InputError

DEVICE = "cuda"
SLOWEST = 1 / 1.3
"""Least speed-up of a control: it may take 1.3 times what dense attention takes."""


@dataclass(frozen=True)
class Bar:
    """Asks for a speed-up of a method at `s` cached tokens of every row, K stored `copies` times."""

    batch: int
    s: int
    kv_heads: int
    least: float
    r: int = 32
    copies: int = 2
    dtype: str = "float16"
    method: str = "sparq"
    k: int = 128

    @property
    def name(self) -> str:
        """Say in words what is asked for."""
        knobs = f"r {self.r}, k {self.k}, K stored {self.copies}x" if self.method == "sparq" else f"k {self.k}"
        where = f"batch {self.batch}, S {self.s}, 32/{self.kv_heads} heads, {self.dtype}"
        return f"{self.method}, {where}, {knobs}, speed-up over the best dense"


H200 = (
    Bar(64, 4096, 32, 5.0),
    Bar(64, 2048, 32, 4.2),
    Bar(64, 8192, 32, 5.6),
    Bar(16, 4096, 32, 4.0),
    Bar(1, 16384, 32, 2.0),
    Bar(1, 65536, 32, 4.0),
    Bar(1, 131072, 32, 5.0),
    Bar(64, 4096, 32, 1.0, copies=1),
)
"""Set for an H200."""
GROUPED = {(64, 8192): 5.5, (16, 8192): 4.5, (4, 32768): 4.5, (1, 131072): 4.0, (1, 32768): 2.2}
H100 = (
    *(Bar(batch, s, 8, least, dtype="bfloat16") for (batch, s), least in GROUPED.items()),
    Bar(1, 131072, 32, 20.0, r=4, dtype="bfloat16"),
    Bar(1, 131072, 8, 6.0, r=4, dtype="bfloat16"),
    *(Bar(batch, s, 8, SLOWEST, dtype="bfloat16", method="flexgen") for batch, s in GROUPED),
    *(Bar(batch, s, 8, SLOWEST, dtype="bfloat16", method="oracle_topk", k=s // 8) for batch, s in GROUPED),
)
"""Set for an H100, whose dense attention takes 1.4 times as long while launches take the same."""
GRID_LENGTH = 32768
GRID_BARS = {"compile_s": 20.0, "cost": 2.5, "memory": 1.1}
"""Most seconds of compiling, most time and most memory of a grid at long prompts, the latter two relative to dense."""


def main() -> int:
    """Run the parts that are asked for; returns 0 if everything holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a folder for the tables of times")
    parser.add_argument("--commit", help="what to note as the commit where there is no git")
    parser.add_argument("--only", nargs="+", choices=("correctness", "attention", "grid"), help="leave other parts out")
    parser.add_argument("--methods", nargs="+", choices=served(), metavar="NAME", help="whose correctness; all")
    given = parser.parse_args()
    try:
        kernels.require(DEVICE)
    except InputError as error:
        print(f"error: {error}")
        return 2
    parts: dict[str, Callable[[], Iterator[Check]]] = {
        "correctness": lambda: correctness(given.methods),
        "attention": lambda: _attention(given.out, given.commit),
        "grid": _grid,
    }
    held = [_report(check) for part in given.only or parts for check in parts[part]()]
    print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


def _report(check: Check) -> bool:
    verdict = "ok    " if check.holds else "MISSED"
    print(f"{verdict} {check.name}: {check.value:.3g} ({check.relation} {check.bar:.3g})", flush=True)
    return check.holds


def _attention(out: Path | None, commit: str | None) -> Iterator[Check]:
    """Yield the speed-up of every bar, and keep all rows so far in `out`: a run that is stopped leaves what it has."""
    tables: list[pd.DataFrame] = []
    for bar in (*H200, *H100):
        tables.append(_timed(bar, commit))
        torch.cuda.empty_cache()
        if out:
            out.mkdir(parents=True, exist_ok=True)
            pd.concat(tables).to_csv(out / "attention_bars.csv", index=False, float_format="%.6g")
        (speedup,) = tables[-1].query("method == @bar.method")["speedup"]
        yield Check(bar.name, speedup, ">=", bar.least)


def _timed(bar: Bar, commit: str | None) -> pd.DataFrame:
    """Time the bar's method beside every dense backend."""
    return bench_attention(
        s=[bar.s], batch=[bar.batch], method=[bar.method], r=[bar.r], k=[bar.k], k_stored=[bar.copies],
        kv_heads=bar.kv_heads, dtype=bar.dtype, kernel="triton", commit=commit,
    )  # fmt: skip


def _grid() -> Iterator[Check]:
    """Yield what a grid of cells costs at long prompts, in a process of its own, where nothing is compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "grid.csv"
        script = Path(__file__).with_name("long_grid.py")
        subprocess.run([sys.executable, script, "--lengths", str(GRID_LENGTH), "--out", out], check=True)
        (found,) = pd.read_csv(out).to_dict("records")
    for name, most in GRID_BARS.items():
        yield Check(f"a grid of {found['cells']} cells at {GRID_LENGTH} tokens, {name}", found[name], "<", most)


if __name__ == "__main__":
    sys.exit(main())
