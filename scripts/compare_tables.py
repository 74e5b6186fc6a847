"""Are the tables of two results folders the same to the byte, timings apart? Exit code 1 if not.

python scripts/compare_tables.py FOLDER FOLDER: compares every summary.csv without its column `seconds`.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

TIMINGS = ("seconds",)


def main() -> int:
    """Compare the two folders on the command line."""
    one, other = (tables(Path(folder)) for folder in sys.argv[1:3])
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name} differs")
    if not one or different:
        return 1
    print(f"{len(one)} tables, {sum(map(len, one.values()))} bytes without timings: identical")
    return 0


def tables(root: Path) -> dict[str, bytes]:
    """The bytes of each summary.csv by its path, the columns of timings cut out."""
    return {str(f.relative_to(root)): without_timings(f) for f in sorted(root.rglob("summary.csv"))}


def without_timings(file: Path) -> bytes:
    """Cells stay as they are written: no number is parsed."""
    rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    kept = [i for i, name in enumerate(rows[0]) if name not in TIMINGS]
    out = io.StringIO()
    csv.writer(out).writerows([[row[i] for i in kept] for row in rows])
    return out.getvalue().encode()


if __name__ == "__main__":
    sys.exit(main())
