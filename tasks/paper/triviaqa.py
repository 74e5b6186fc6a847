"""Poses TriviaQA as the SparQ paper does: one evidence document of moderate length, then the question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data.cutting import shuffled
from harness.data.rows import Row, load_rows, to_dataset

HUB = {"path": "mandarjoshi/trivia_qa", "name": "rc", "split": "validation"}
DOCUMENTS = {"wiki": ("entity_pages", "wiki_context"), "search": ("search_results", "search_context")}
FEW_SHOT_CANDIDATES = 7


def documents(
    source: Mapping[str, Any] = HUB,
    evidence: str = "wiki",
    shortest: int = 4000,
    longest: int = 8000,
    cue: str = "Answer:",
    **_: Any,
) -> Any:
    """List all examples in the paper's order: id, text (the prompt), answers. Lengths are characters of a document.

    `evidence` is "wiki" (entity pages, as published) or "search" (web documents).
    """
    group, field = DOCUMENTS[evidence]
    rows = load_rows(source, ["question", "question_id", "answer", group])
    rng = np.random.RandomState(2751584)
    docs: list[Row] = []
    for row in rows:
        fitting = [text for text in row[group][field] if shortest <= len(text) <= longest]
        if not fitting:
            continue
        rng.choice(len(rows), FEW_SHOT_CANDIDATES)  # the authors draw few-shot examples even when they use none
        document = fitting[rng.randint(len(fitting))]
        text = f"{document}\nQuestion: {row['question']}\n{cue}"
        docs.append({"id": row["question_id"], "text": text, "answers": row["answer"]["aliases"]})
    return to_dataset(shuffled(docs, 487523))
