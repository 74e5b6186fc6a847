"""Writes docs/methods.bib: the papers of all methods, as their files name them.

python scripts/write_bibliography.py
"""

from __future__ import annotations

from pathlib import Path

from harness import methods

FILE = Path(__file__).parent.parent / "docs" / "methods.bib"


def main() -> None:
    """Write the file anew."""
    FILE.write_text(methods.bibliography(), encoding="utf-8")


if __name__ == "__main__":
    main()
