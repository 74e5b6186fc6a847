"""Asks for the capital of a country after a list of pairs: a task whose examples are made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.data.rows import to_dataset

CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima", "Norway": "Oslo"}


def documents(shots: int = 4, **_: Any) -> Any:
    """Make one example per country: id, text (the whole prompt), answer. `shots` pairs stand before the question."""
    docs = []
    for country, capital in CAPITALS.items():
        others = [f"{name}: {city}" for name, city in CAPITALS.items() if name != country][:shots]
        docs.append({"id": country, "text": "\n".join([*others, f"{country}:"]), "answer": capital})
    return to_dataset(docs)


def exact(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score 1 if the output begins with the capital, else 0."""
    return {"exact": float(results[0].strip().startswith(doc["answer"]))}
