"""Cutting and judging text as the SparQ paper's tasks do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_LEADING = re.compile(r"""^[\s"'_.,]+""")
_TRAILING = re.compile(r"""[\s"'_.,]+$""")
_ARTICLE = re.compile(r"^(the|a|an) ")


def shuffled(items: Sequence[T], seed: int) -> list[T]:
    """The order that Dataset.shuffle(seed) of the library datasets gives."""
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items))]


def run_end(text: str, start: int, least: int) -> int | None:
    """End of the shortest run of >= `least` characters from `start` that ends before a whitespace; None if none."""
    found = re.compile(r"\s").search(text, start + least)
    return found.start() if found and start + least <= len(text) else None


def run_end_or_all(text: str, start: int, least: int) -> int | None:
    """As run_end, but the end of the text may end the run too."""
    end = run_end(text, start, least)
    return len(text) if end is None and len(text) - start >= least else end


def normalise_answer(text: str) -> str:
    """Lower case, without leading whitespace, quotes or `_.,`, then without one article, nor the same at the end."""
    return _TRAILING.sub("", _ARTICLE.sub("", _LEADING.sub("", text.lower())))


def starts_with_answer(output: str, answers: Iterable[str]) -> bool:
    """The paper's `match`: the output begins with any non-empty answer, both normalised."""
    normal = [normalise_answer(answer) for answer in answers]
    return normalise_answer(output).startswith(tuple(answer for answer in normal if answer))


def common_prefix_length(output: str, reference: str) -> int:
    """Characters that match before the first difference, leading whitespace stripped from both."""
    output, reference = output.lstrip(), reference.lstrip()
    pairs = zip(output, reference, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(output), len(reference)))
