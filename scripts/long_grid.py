"""Measures a grid of cells at long prompts on a GPU against dense alone: `python scripts/long_grid.py --lengths 32768`.

The cells have k up to a quarter of the prompt; the model is the shape of Llama-3-8B with random weights in bfloat16,
batch 1. Prints, for each length, the seconds that Triton compiled, the seconds of dense alone and of the grid, whole
and per decoded token, and the peak memory of each. The kernels' cache is empty at first: a fresh folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harness.bench.machine import describe
from harness.engine import Engine, Prompt
from harness.hf import Bridge
from harness.methods import Method, create

VOCABULARY = 128_256


def main() -> int:
    """Measure every length; returns 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32768, 65536, 131072], help="prompt tokens")
    parser.add_argument("--new", type=int, default=32, help="generated tokens")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--out", type=Path, help="a CSV for the rows")
    parser.add_argument("--commit", help="what to note as the commit where there is no git")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: there is no GPU; long prompts are measured on one")
        return 2
    model = Bridge(shape(given.layers))
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        for length in given.lengths:
            rows.append({"layers": given.layers, **compared(model, length, given.new)})
            print(" ".join(f"{name}={value:.4g}" for name, value in rows[-1].items()), flush=True)
    if given.out:
        about = describe(torch.device("cuda"), given.commit)
        pd.DataFrame([{**row, **about} for row in rows]).to_csv(given.out, index=False, float_format="%.6g")
    return 0


def cells(length: int) -> list[Method[Any]]:
    """Return dense and eight cells whose k grows with the prompt."""
    parts = {n: length // n for n in (4, 8, 16)}
    return [
        create("dense"),
        create("sparq", r=32, k=parts[8]),
        create("sparq", r=16, k=parts[16]),
        create("h2o", k=parts[4]),
        create("h2o", k=parts[8]),
        create("lm_infinite", k=parts[4]),
        create("lm_infinite", k=parts[8]),
        create("flexgen", k=128),
        create("oracle_topk", k=parts[8]),
    ]


def shape(layers: int) -> Any:
    """Make Llama-3-8B's shape with random weights on the GPU."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=4096, intermediate_size=14336, num_hidden_layers=layers,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=262_144, rope_theta=500_000.0,
    )  # fmt: skip
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Run:
    """Holds what one run took: seconds in all, of which compiling kernels, and the peak of memory in bytes."""

    seconds: float
    compiling: float
    peak: int


def compared(model: Bridge, length: int, new: int) -> dict[str, float]:
    """Run dense alone and the grid, each twice, and with a single token; the second run of each counts."""
    tokens = torch.randint(VOCABULARY, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    grid, dense = cells(length), [create("dense")]
    first = run(model, tokens, new, grid)
    whole, alone = run(model, tokens, new, grid), (run(model, tokens, new, dense), run(model, tokens, new, dense))[1]
    prefilled, prefill = run(model, tokens, 1, grid), run(model, tokens, 1, dense)
    step, dense_step = ((a.seconds - b.seconds) / (new - 1) for a, b in ((whole, prefilled), (alone, prefill)))
    return {
        "length": length,
        "cells": len(grid),
        "compile_s": first.compiling,
        "first_s": first.seconds,
        "grid_s": whole.seconds,
        "dense_s": alone.seconds,
        "cost": whole.seconds / alone.seconds,
        "grid_step_ms": 1e3 * step,
        "dense_step_ms": 1e3 * dense_step,
        "step_cost": step / dense_step,
        "grid_peak_gb": whole.peak / 2**30,
        "dense_peak_gb": alone.peak / 2**30,
        "memory": whole.peak / alone.peak,
    }


def run(model: Bridge, tokens: Sequence[int], new: int, methods: Sequence[Method[Any]]) -> Run:
    """Decode one prompt under the methods."""
    import triton  # type: ignore[import-untyped]

    spent: list[float] = []
    triton.knobs.compilation.listener = lambda *_, times, **__: spent.append(times.total / 1e6)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    Engine(model, prefill_tokens=len(tokens)).run([Prompt(tuple(tokens), new_tokens=new)], methods)
    torch.cuda.synchronize()
    return Run(time.perf_counter() - begin, sum(spent), torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    sys.exit(main())
