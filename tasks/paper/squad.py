"""Poses SQuAD as the SparQ paper does: the question's paragraph among others, a worked example, then the question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data.cutting import shuffled
from harness.data.rows import Row, load_rows, to_dataset

HUB = {"path": "rajpurkar/squad", "split": "validation"}
CANDIDATES = 5


def documents(source: Mapping[str, Any] = HUB, other_contexts: int = 7, shots: int = 1, **_: Any) -> Any:
    """List all examples in the paper's order: id, text (the whole prompt), answers."""
    rows = load_rows(source, ["id", "title", "context", "question", "answers"])
    every = sorted({_background(row) for row in rows})
    same_paragraph = defaultdict(list)
    for row in rows:
        same_paragraph[row["context"]].append(row)
    rng = np.random.RandomState(82735235)
    docs = []
    for index, row in enumerate(rows):
        contexts = [_background(row), *(every[i] for i in rng.choice(len(every), other_contexts))]
        rng.shuffle(contexts)
        same = [other for other in same_paragraph[row["context"]] if other["id"] != row["id"]]
        rng.shuffle(same)  # type: ignore[arg-type]  # any list will do
        others = [rows[i] for i in rng.choice(len(rows), CANDIDATES + 1) if i != index]
        docs.append(_document(row, contexts, (same + others)[:CANDIDATES][:shots]))
    return to_dataset(shuffled(docs, 945237))


def _background(row: Row) -> str:
    return f"Title: {row['title'].replace('_', ' ')}. Background: {row['context']}"


def _document(row: Row, contexts: list[str], examples: list[Row]) -> Row:
    title = row["title"].replace("_", " ")
    lines = [
        *contexts,
        f"From what you've just read about {title}, please answer the following questions.",
        *(f"Question: {e['question']}\nAnswer: {min(e['answers']['text'], key=len)}" for e in examples),
        f"Question: {row['question']}\nAnswer:",
    ]
    return {"id": row["id"], "text": "\n".join(lines), "answers": row["answers"]["text"]}
