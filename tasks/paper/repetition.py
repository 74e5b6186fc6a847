"""Poses repetition as the SparQ paper does: a passage of the context begins again, and must be carried on verbatim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from harness.data.cutting import run_end, run_end_or_all, shuffled
from harness.data.rows import Row, load_rows, to_dataset
from harness.errors import InputError

Rule = Literal["authors", "repaired"]
HUB = {"path": "karpathy/tiny_shakespeare", "split": "train+validation+test", "revision": "refs/convert/parquet"}


def documents(
    source: Mapping[str, Any] = HUB,
    context: int = 6000,
    prompt: int = 128,
    reference: int = 256,
    rule: Rule = "authors",
    **_: Any,
) -> Any:
    """List all examples in the paper's order: id (offset of the prompt), text, reference, rule. Lengths: at least.

    `rule` says what an output without a mistake counts (metrics.py). Raises InputError for another.
    """
    if rule not in get_args(Rule):
        raise InputError(f"task.arguments.rule={rule} is unknown: choose from {', '.join(get_args(Rule))}")
    whole = "".join(row["text"] for row in load_rows(source, ["text"]))
    docs = [doc for start, text in _contexts(whole, context) for doc in _passages(start, text, prompt, reference)]
    return to_dataset(shuffled([{**doc, "rule": rule} for doc in docs], 544085))


def _contexts(whole: str, least: int) -> Iterator[tuple[int, str]]:
    start = 0
    while (end := run_end(whole, start, least)) is not None:
        yield start, whole[start:end]
        start = end


def _passages(offset: int, context: str, prompt: int, reference: int) -> Iterator[Row]:
    start = 0
    while (middle := run_end(context, start, prompt)) is not None:
        end = run_end_or_all(context, middle, reference)
        if end is None:
            return
        text = f"{context}\n{context[start:middle]}"
        yield {"id": str(offset + start), "text": text, "reference": context[middle:end]}
        start = end
