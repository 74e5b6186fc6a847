"""Writes the tables of docs/speed/README.md that hold a decode step of every method at equal bytes.

python scripts/write_families.py: from docs/speed/attention_families.csv, which `harness bench families --out` writes.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from marked import replaced

from harness.bench.family_page import page

PAGE = Path(__file__).parent.parent / "docs" / "speed" / "README.md"
FAMILIES = PAGE.with_name("attention_families.csv")
NAME = "every family at equal bytes"


def main() -> None:
    """Write the page's tables anew."""
    PAGE.write_text(with_families(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_families(text: str) -> str:
    """Return the page with its tables made anew; without measurements it says that there are none."""
    tables = page(pd.read_csv(FAMILIES)) if FAMILIES.exists() else "Not measured yet."
    return replaced(text, NAME, "write_families.py", tables)


if __name__ == "__main__":
    main()
