"""Orders and cuts text as the SparQ paper's tasks do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def shuffled(items: Sequence[T], seed: int) -> list[T]:
    """Shuffle as Dataset.shuffle(seed) of the library datasets does."""
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items))]


def run_end(text: str, start: int, least: int) -> int | None:
    """Find where the shortest run of >= `least` characters from `start` ends before a whitespace; None if nowhere."""
    found = re.compile(r"\s").search(text, start + least)
    return found.start() if found and start + least <= len(text) else None


def run_end_or_all(text: str, start: int, least: int) -> int | None:
    """Find the end of a run as run_end does, where the end of the text may end it too."""
    end = run_end(text, start, least)
    return len(text) if end is None and len(text) - start >= least else end
