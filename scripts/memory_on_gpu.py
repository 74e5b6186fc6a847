"""Measures on a GPU how well batches fill its memory, and what a decode-heavy grid holds: docs/speed quotes both.

Fill: batches of prompts of some lengths, as many as engine.batch_tokens=auto says, under five cells. Their peak is held
against a card of --card GB, past which the allocator refuses. The bar: never out of memory, and at least 0.9, or less
than one more prompt's K and V left.

Decode-heavy: 8 prompts of 200 tokens, 1,024 new, under dense and 12 cells, in batches of 8 rows and of fewer, against
all 8 under dense alone. The bar: 1.3 times dense's peak.

Both at the shape of Llama-3-8B, random weights in bfloat16. Prints a line per run. Exit code 1 if a bar is missed, 2
without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from benchmark_sweep import GRIDS

from harness.bench.machine import describe
from harness.engine import Engine, Prompt
from harness.forecast.memory import Example
from harness.forecast.transformer import Transformer
from harness.hf import Bridge, Checkpoint, ModelSpec, find
from harness.methods import Method, create
from harness.methods.cell import Cell
from harness.sweep.batch_tokens import planned_batch_tokens, transformer_of
from harness.sweep.job import EngineSpec

LENGTHS = (8192, 32768, 131072)
NEW = 32
HEAVY_PROMPT, HEAVY_NEW, HEAVY_ROWS = 200, 1024, 8
LEAST, MOST_HEAVY = 0.9, 1.3


@dataclass(frozen=True)
class Row:
    """Holds one run: its rows at once, the peaks in GB, reserved and used, the former's share, and seconds."""

    what: str
    rows: int
    peak_gb: float
    used_gb: float
    share: float
    holds: bool
    seconds: float


def main() -> int:
    """Measure both; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", type=float, help="GB that the process may take; default: the whole card")
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS, help="prompt tokens")
    parser.add_argument("--batches", type=int, nargs="*", default=(8, 3), help="rows of the decode-heavy batches")
    parser.add_argument("--out", type=Path, help="a CSV for the rows")
    parser.add_argument("--commit", help="what to note as the commit where there is no git")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: there is no GPU, whose memory this measures")
        return 2
    total = torch.cuda.mem_get_info()[1]
    card = min(total, int(given.card * 1e9)) if given.card else total
    torch.cuda.set_per_process_memory_fraction(card / total)
    checkpoint = find(ModelSpec("shape", "shape:llama-3-8b", device="cuda", dtype="bfloat16", random_weights=True))
    model = Bridge(checkpoint.load())
    found = []
    for row in chain(heavy(model, given.batches), filled(model, checkpoint, given.lengths, card)):
        found.append(row)
        print(f"{'ok    ' if row.holds else 'MISSED'} {row.what}: {row.peak_gb:.1f} GB, {row.used_gb:.1f} used, "
              f"{row.share:.3f}, {row.rows} rows, {row.seconds:.1f} s", flush=True)  # fmt: skip
    if given.out:
        about = describe(torch.device("cuda"), given.commit)
        pd.DataFrame([{**vars(row), **about} for row in found]).to_csv(given.out, index=False, float_format="%.6g")
    return 0 if all(row.holds for row in found) else 1


def filled(model: Bridge, checkpoint: Checkpoint, lengths: Sequence[int], card: int) -> Iterator[Row]:
    """Fill a card with prompts of each length."""
    shape = transformer_of(checkpoint)
    for length in lengths:
        torch.cuda.empty_cache()
        rows = rows_that_fit(shape, length, card - torch.cuda.memory_reserved())
        methods = [cell.method_at(length) for cell in cells_at(length)]
        run = _run(Engine(model), _prompts(rows, length, NEW), methods)
        is_full = run.reserved >= LEAST * card or run.reserved + (length + NEW) * shape.cached_bytes > card
        yield run.row(f"{length} tokens fill {card / 1e9:.0f} GB", rows, run.reserved / card, is_full)


def rows_that_fit(shape: Transformer, length: int, free: float) -> int:
    """Count the prompts of a batch that engine.batch_tokens=auto would cut where so many bytes are free."""
    cells = cells_at(length)
    tokens = planned_batch_tokens(EngineSpec(), shape, [Example(length, NEW)], free, cells)
    return max(1, tokens // (length + len(cells) * NEW))


def cells_at(length: int) -> list[Cell]:
    """Return the cells under which prompts of a length are decoded."""
    return [Cell.of(name, create(name, **knobs)) for name, knobs in _knobs(length).items()]


def heavy(model: Bridge, batches: Sequence[int]) -> Iterator[Row]:
    """Decode long answers to short prompts, all rows at once or in smaller batches, and dense alone."""
    cells = [create(name, **{knob: v}) for name, (knob, values) in GRIDS["small"].items() for v in values]
    Engine(model).run(_prompts(HEAVY_ROWS, HEAVY_PROMPT, 8), [create("dense"), *cells])  # compiles the kernels
    prompts = _prompts(HEAVY_ROWS, HEAVY_PROMPT, HEAVY_NEW)
    dense = _run(Engine(model), prompts, [create("dense")])
    yield dense.row("decode-heavy, dense alone", HEAVY_ROWS, 1.0, True)
    for rows in batches:
        run = _run(Engine(model), prompts[:rows], [create("dense"), *cells])
        share = run.reserved / dense.reserved
        what = f"decode-heavy, {1 + len(cells)} cells, the first batch of {rows}, x dense's peak"
        yield run.row(what, rows, share, share <= MOST_HEAVY)


def _knobs(length: int) -> dict[str, dict[str, int]]:
    kept = {"k": length // 8}
    return {"dense": {}, "sparq": {"r": 32, "k": 128}, "h2o": kept, "lm_infinite": kept, "snapkv": kept}


def _prompts(rows: int, length: int, new: int) -> list[Prompt]:
    drawn = torch.randint(1000, 40_000, (rows, length), generator=torch.Generator().manual_seed(0))
    return [Prompt(tuple(row), new_tokens=new) for row in drawn.tolist()]


@dataclass(frozen=True)
class Run:
    """Holds what a batch took: the bytes that the allocator reserved at most, those in use at most, and seconds."""

    reserved: int
    used: int
    seconds: float

    def row(self, what: str, rows: int, share: float, holds: bool) -> Row:
        """Describe it in a table."""
        return Row(what, rows, self.reserved / 1e9, self.used / 1e9, share, holds, self.seconds)


def _run(engine: Engine, batch: Sequence[Prompt], methods: Sequence[Method[Any]]) -> Run:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    engine.run(batch, methods)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    return Run(torch.cuda.max_memory_reserved(), torch.cuda.max_memory_allocated(), seconds)


if __name__ == "__main__":
    sys.exit(main())
