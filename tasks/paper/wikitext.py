"""Poses WikiText as the SparQ paper does: a long prefix is prefilled, what follows is scored through decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.data.cutting import run_end, run_end_or_all, shuffled
from harness.data.rows import Row, load_rows, to_dataset

HUB = {
    "path": "EleutherAI/wikitext_document_level",
    "name": "wikitext-103-raw-v1",
    "split": "train",
    "revision": "refs/convert/parquet",
}


def documents(source: Mapping[str, Any] = HUB, prefix: int = 6000, continuation: int = 400, **_: Any) -> Any:
    """List all examples in the paper's order: id (title), text (the prefix), reference. Lengths: least characters."""
    cuts = [_cut(row["page"], prefix, continuation) for row in load_rows(source, ["page"])]
    return to_dataset(shuffled([doc for doc in cuts if doc], 2353669))


def _cut(page: str, prefix: int, continuation: int) -> Row | None:
    middle = run_end(page, 0, prefix)
    end = None if middle is None else run_end_or_all(page, middle, continuation)
    if middle is None or end is None:
        return None
    title = page.strip().splitlines()[0].strip(" =")
    return {"id": title, "text": page[:middle], "reference": page[middle:end]}
