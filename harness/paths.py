"""Says where the project's own files lie, and where it keeps what it makes."""

from __future__ import annotations

import os
from pathlib import Path


def asset(name: str) -> Path:
    """Return the folder conf/ or tasks/: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent
    installed = package / "_assets" / name
    return installed if installed.is_dir() else package.parent / name


def cache_root() -> Path:
    """Return where converted checkpoints and data lie: $HARNESS_CACHE, or harness/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(base) / "harness")
