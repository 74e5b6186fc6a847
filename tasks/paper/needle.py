"""Poses needle in a haystack (Kamradt, 2023) as the SparQ paper does: a sentence hidden in essays must be repeated.

The protocol gives the needle, the lengths and the score; the question is the public benchmark's, and its answer is
begun here, so that a model that found the needle goes on with it at once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from harness.data.cutting import shuffled
from harness.data.rows import Row, load_rows, to_dataset
from harness.errors import InputError

HUB = {"path": "baber/paul_graham_essays", "split": "train"}
ANSWER = "eat a sandwich and sit in Dolores Park on a sunny day."
CUE = "The best thing to do in San Francisco is to"
NEEDLE = f"{CUE} {ANSWER}\n"
QUESTION = f"\nQuestion: What is the best thing to do in San Francisco?\nAnswer: {CUE}"
BUFFER = 128
"""Tokens of a length that are left to question and answer."""
SENTENCE_END = re.compile(r"[.!?]\s")


def documents(
    count: Callable[[str], int],
    positions: int,
    source: Mapping[str, Any] = HUB,
    column: str = "text",
    length: int = 4096,
    depths: int = 17,
    **_: Any,
) -> Any:
    """Make one example per depth, from the start of the essays (0) to their end (1), in an order that is no ramp.

    Essays and needle together have at most length - 128 tokens, as `count` counts them: short of that by less than a
    word. Raises InputError for a length beyond the model's `positions` or the essays.
    """
    if not BUFFER < length <= positions:
        raise InputError(
            f"a needle at {length} tokens does not fit: give {BUFFER + 1} to {positions}, the model's limit"
        )
    essays = "\n".join(row[column] for row in load_rows(source, [column]))
    haystack = _beginning(essays, length - BUFFER - count(NEEDLE), count)
    depth = [number / max(1, depths - 1) for number in range(depths)]
    return to_dataset(shuffled([_document(haystack, length, d) for d in depth], 0))


def _beginning(essays: str, tokens: int, count: Callable[[str], int]) -> str:
    """Take as many whole words as `tokens` allow."""
    ends = [found.start() for found in re.finditer(r"\s", essays)]
    fitting = bisect_right(ends, tokens, key=lambda end: count(essays[:end]))
    if fitting == len(ends):
        raise InputError(f"the essays have {count(essays)} tokens, {tokens} are asked for: choose a smaller length")
    return essays[: ends[fitting - 1]]


def _document(haystack: str, length: int, depth: float) -> Row:
    """Put the needle after the last sentence that ends within the depth's share of the characters."""
    share = int(depth * len(haystack))
    at = max((end.end() for end in SENTENCE_END.finditer(haystack, 0, share)), default=0)
    text = f"{haystack[:at]}{NEEDLE}{haystack[at:]}{QUESTION}"
    return {"id": f"{length}-{depth:.4f}", "text": text, "answers": [ANSWER], "length": length, "depth": depth}
