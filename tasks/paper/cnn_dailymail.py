"""Poses CNN/DailyMail as the SparQ paper does: an article of moderate length to summarise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.data.cutting import shuffled
from harness.data.rows import load_rows, to_dataset

HUB = {"path": "abisee/cnn_dailymail", "name": "3.0.0", "split": "validation"}


def documents(source: Mapping[str, Any] = HUB, shortest: int = 4000, longest: int = 8000, **_: Any) -> Any:
    """List all examples in the paper's order: id, text (the prompt), reference. Lengths: characters of an article."""
    docs = [
        {"id": row["id"], "text": f"Article: {row['article']}\nSummary:", "reference": row["highlights"]}
        for row in load_rows(source, ["id", "article", "highlights"])
        if shortest <= len(row["article"]) <= longest
    ]
    return to_dataset(shuffled(docs, 2353669))
