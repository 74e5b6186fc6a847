"""Times a million result rows: append, resume scan, status and summary, each in a process of its own.

python scripts/benchmark_rows.py [--rows 1000000]: prints seconds and peak memory (bars: 60 s, 2 GB).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.store.records import Record

CELLS = 20
BATCH = 200
TOKENS = 16


def main() -> None:
    """Run every part, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.part:
        begin = time.perf_counter()
        finding = PARTS[given.part](given.folder, given.rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": time.perf_counter() - begin, "peak_mb": peak, "finding": finding}))
        return
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            report(part, Path(folder) / "run", given.rows)


def report(part: str, folder: Path, rows: int) -> None:
    """Print one line of figures."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--rows", str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{part:<8} {found['seconds']:6.1f} s  {found['peak_mb']:6.0f} MB  {found['finding']}", flush=True)


def append(folder: Path, rows: int) -> str:
    """Write batches of records, each waited for until it is on the disk."""
    from harness.store.store import Store

    with Store(folder, "key") as store:
        examples = [{"unit": f"{i:020x}.0", "example": str(i), "task": "t"} for i in range(rows // CELLS)]
        (folder / "examples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in examples))
        store.describe({"planned": [f"method-{c:08x}" for c in range(CELLS)]})
        for batch in _batches(rows):
            store.append(list(batch))
    return f"{(folder / 'outputs.jsonl').stat().st_size / 1e6:.0f} MB on disk"


def scan(folder: Path, rows: int) -> str:
    """Read what a launch reads to know what is missing."""
    from harness.store.store import Store

    with Store(folder, "key") as store:
        there = len(store.settled())
    assert there == rows, there
    return f"{there:,} example runs found"


def status(folder: Path, rows: int) -> str:
    """Run `harness status`."""
    from harness.store.status import run_status

    done = sum(cell.done for cell in run_status(folder).cells)
    assert done == rows, done
    return f"{done:,} done"


def summary(_: Path, rows: int) -> str:
    """Summarise tidy rows, one line per cell."""
    import numpy as np
    import pandas as pd

    from harness.tables.column import Kind
    from harness.tables.columns import ROWS
    from harness.tables.summary import summarise

    made = {Kind.TEXT: "text", Kind.KNOBS: "{}", Kind.FLAG: True, Kind.COUNT: 2, Kind.NUMBER: 2.0}
    cells, examples = np.divmod(np.arange(rows), rows // CELLS)
    frame = pd.DataFrame({column.name: made[column.kind] for column in ROWS}, index=range(rows))
    frame["cell"] = pd.Series(cells).map("method-{:08x}".format)
    frame["example"] = examples.astype(str)
    frame["value"] = np.random.default_rng(0).random(rows)
    return f"{len(summarise(frame, 'method-00000000', {}))} lines"


def _batches(rows: int) -> Iterator[list[Record]]:
    nll = [round(0.123456 * i, 6) for i in range(TOKENS)]
    for start in range(0, rows, BATCH):
        yield [
            Record(
                unit=f"{i // CELLS:020x}.0",
                cell=f"method-{i % CELLS:08x}",
                example=str(i // CELLS),
                tokens=[17] * TOKENS,
                nll=nll,
                greedy=True,
                active=True,
                seconds=0.1,
                prompt_tokens=1500,
                text="An answer of some words.",
            )
            for i in range(start, min(start + BATCH, rows))
        ]


PARTS: dict[str, Callable[[Path, int], str]] = {"append": append, "scan": scan, "status": status, "summary": summary}

if __name__ == "__main__":
    main()
