"""Measures the peak memory of a grid of 20 cells, 6 of them with compressed caches, against that of dense alone.

`python scripts/memory_of_grid.py` runs each in a process of its own, on SmolLM2 and the same prompts of random tokens,
prints both peaks, how often dense's the grid's is, and which states take most by plan; it ends with 1 where the grid
takes more than twice as much. All cells of a batch decode side by side, so all their states are there at once.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import torch

COMPRESSED: list[tuple[str, dict[str, Any]]] = [
    ("kivi", {"bits": 2}),
    ("kivi", {"bits": 4}),
    ("int_kv", {"bits": 4}),
    ("int_kv", {"bits": 8, "by": "channel"}),
    ("fp8", {}),
    ("nvfp4", {}),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    *(("sparq", {"r": 16, "k": k, "local": k // 4}) for k in (128, 256)),
    *(("h2o", {"k": k}) for k in (256, 512)),
    *(("quest", {"token_budget": k}) for k in (256, 512)),
    *(("window", {"k": k}) for k in (256, 512)),
    *(("streaming", {"k": k}) for k in (256, 512)),
    *(("oracle_topk", {"k": k}) for k in (128, 256, 512)),
]
GRIDS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "dense": [("dense", {})],
    "grid": [("dense", {}), *COMPRESSED, *OTHERS],
}
MOST = 2.0
"""How often dense's peak a grid's may be."""


def main() -> int:
    """Measure both in processes of their own; returns 1 where the grid takes too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(GRIDS), help="measure one and print it as JSON")
    parser.add_argument("--rows", type=int, default=4, help="prompts of the batch")
    parser.add_argument("--prompt", type=int, default=4096, help="tokens of each prompt")
    parser.add_argument("--new", type=int, default=16, help="tokens that each cell decodes")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(measure(given)))
        return 0
    found = {part: in_own_process(part, given) for part in GRIDS}
    ratio = found["grid"]["peak"] / found["dense"]["peak"]
    print(f"{given.rows} prompts of {given.prompt} tokens, {given.new} decoded:")
    for part, of in found.items():
        print(f"  {part:<6} {of['cells']:3d} cells  peak {of['peak']:7.0f} MB  {of['seconds']:6.1f} s")
    print(f"  peak memory {ratio:.2f} x dense alone; dense's cache is {found['dense']['cache']:.0f} MB")
    for name, size in sorted(found["grid"]["states"].items(), key=lambda of: -of[1]):
        if size >= 1:
            print(f"    {name:<44} {size:7.0f} MB by plan")
    return int(ratio > MOST)


def in_own_process(part: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run one part and read its JSON line."""
    sizes = [text for name in ("rows", "prompt", "new") for text in (f"--{name}", str(getattr(given, name)))]
    command = [sys.executable, __file__, "--part", part, *sizes]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run the cells of a part over the prompts, and return this process's peak and what is planned, in MB."""
    from harness.commands.compose import model_spec
    from harness.engine import Engine, Prompt
    from harness.hf import Bridge, find
    from harness.methods import create
    from harness.methods.cost import ELEMENT, Stack

    checkpoint = find(model_spec("smollm2"))
    methods = [create(name, **knobs) for name, knobs in GRIDS[given.part]]
    tokens = torch.randint(1000, 40_000, (given.rows, given.prompt), generator=torch.Generator().manual_seed(0))
    prompts = [Prompt(tuple(row), forced=tuple(row[: given.new])) for row in tokens.tolist()]
    begin = time.perf_counter()
    Engine(Bridge(checkpoint.load()), prefill_tokens=given.prompt).run(prompts, methods)
    stack, n = Stack(tuple(checkpoint.layers)), given.prompt + given.new
    size = given.rows * checkpoint.bytes_per_element / 2**20
    return {
        "cells": len(methods),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": time.perf_counter() - begin,
        "cache": stack.dense(n).held / ELEMENT * size,
        "states": {
            f"{name} {knobs}": stack.state(m, n) * size
            for (name, knobs), m in zip(GRIDS[given.part], methods, strict=True)
        },
    }


if __name__ == "__main__":
    sys.exit(main())
