"""Measure `harness report` on synthetic results: wall time, peak memory, size of the page.

By default 1 million rows, 10,000 examples x 20 cells x 5 tasks; `--tasks 1` makes the page's bar, 10,000 x 20.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.tables.summary import summarise

TASKS = ("squad", "triviaqa", "cnn_dailymail", "wikitext", "repetition")
CELLS: list[tuple[str, dict[str, int]]] = [("dense", {})] + [
    (method, {"k": k}) for method in ("sparq", "h2o", "lm_infinite", "flexgen") for k in (64, 128, 256, 512, 768)
]
WORDS = np.array("the a cache token of key value attention head layer model is was in and to read moved kept".split())


def main() -> None:
    """Make results, report them in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder to leave the results and the report in")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.keep or Path(scratch)
        for task in TASKS[: asked.tasks]:
            _make(root, task, asked.examples, asked.cells)
        begin = time.perf_counter()
        command = "import sys; from harness.__main__ import main; sys.exit(main(['report', *sys.argv[1:]]))"
        subprocess.run([sys.executable, "-c", command, str(root)], check=True)
        seconds = time.perf_counter() - begin
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        page = (root / "report" / "index.html").stat().st_size / 1e6
        rows = asked.examples * asked.cells * asked.tasks
        print(f"{rows:,} rows: {seconds:.1f} s, peak {megabytes:,.0f} MB, page {page:.1f} MB")


def _make(root: Path, task: str, examples: int, cells: int) -> None:
    """Make one run's folder."""
    rng = np.random.default_rng(len(task))
    folder = root / f"synthetic-{task}-hub-00000001"
    folder.mkdir(parents=True)
    ids = [f"{task}-{i}" for i in range(examples)]
    lengths = rng.integers(500, 2000, examples).astype(float)
    ability = rng.random(examples)
    frames = [_cell(folder.name, task, CELLS[i], ids, lengths, ability, rng) for i in range(cells)]
    rows = pd.concat(frames, ignore_index=True)
    rows.to_parquet(folder / "rows.parquet", index=False)
    summarise(rows, rows["cell"].iloc[0], {}).to_csv(folder / "summary.csv", index=False)
    config = {"data": {"kind": "hub", "arguments": {}}, "model": {"name": "synthetic"}, "task": {"name": task}}
    (folder / "run.json").write_text(json.dumps({"protocol": 1, "config": config, "examples": ids}))
    _texts(folder, task, ids, rows["cell"].unique().tolist(), rng)


def _cell(
    run: str,
    task: str,
    cell: tuple[str, dict[str, int]],
    ids: list[str],
    lengths: NDArray[Any],
    ability: NDArray[Any],
    rng: np.random.Generator,
) -> pd.DataFrame:
    method, knobs = cell
    n, k = len(ids), knobs.get("k", 0)
    share = 1.0 if method == "dense" else 0.08 + k / 2000
    labels: dict[str, Any] = {"model": "synthetic", "run": run, "method": method, "params": json.dumps(knobs)}
    labels |= {
        "launch": "0",
        "ratio": np.nan,
        "cell": f"{method}-{k}",
        "task": task,
        "metric": "match",
        "higher_is_better": True,
    }
    first = np.where((rng.random(n) < 0.3) | (method == "dense"), np.nan, rng.integers(1, 64, n))
    columns = {"example": ids, "prompt_tokens": lengths, "new_tokens": 64, "seconds": 0.1, "first_difference": first}
    costs = {"transfers_elements": lengths * 256 * share, "bytes_per_token": lengths * 512 * share}
    value = (rng.random(n) < ability * share**0.2).astype(float)
    more = {"compression": 1 / share, "active": method != "dense", "delta_nll": 0.1 * (1 - share), "value": value}
    return pd.DataFrame({**columns, **costs, **more}).assign(**labels)


def _texts(folder: Path, task: str, ids: list[str], cells: list[str], rng: np.random.Generator) -> None:
    """Write prompts of about 500 characters, outputs of about 300."""
    prompts = [" ".join(rng.choice(WORDS, 90)) for _ in range(50)]
    answers = [" ".join(rng.choice(WORDS, 60)) for _ in range(200)]
    tokens = list(range(64))
    with (folder / "examples.jsonl").open("w") as stream:
        for i, example in enumerate(ids):
            asked: dict[str, Any] = {"unit": f"u{i}.0", "example": example, "task": task, "target": "gold"}
            stream.write(json.dumps(asked | {"prompt_tail": prompts[i % 50], "continuation": ""}) + "\n")
    with (folder / "outputs.jsonl").open("w") as stream:
        for j, cell in enumerate(cells):
            for i, example in enumerate(ids):
                line: dict[str, Any] = {"unit": f"u{i}.0", "cell": cell, "example": example, "tokens": tokens}
                stream.write(json.dumps(line | {"text": answers[(i + 7 * j) % 200]}) + "\n")


if __name__ == "__main__":
    main()
