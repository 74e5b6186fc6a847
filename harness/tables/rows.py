"""Makes tidy rows: one per cell, example and metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from harness.store.records import Record
from harness.tables.column import Kind
from harness.tables.columns import ROWS, names
from harness.tables.divergence import divergence


class Elements(NamedTuple):
    """Counts the elements that a decode step moves, and those that are held between steps."""

    moved: float
    held: float


@dataclass(frozen=True)
class CellFacts:
    """Holds what a row says of its cell besides the score: labels, and its elements and dense's by prompt length.

    `knobs` gives all knobs as JSON for prompts of some lengths. What a `measured` cell moved is in its records.
    """

    labels: Mapping[str, Any]
    knobs: Callable[[Collection[int]], str]
    own: Mapping[int, Elements]
    dense: Mapping[int, Elements]
    bytes_per_element: int
    measured: bool = False

    def moved(self, record: Record) -> float | None:
        """Return the elements that a step moves at a record's prompt length; None where nothing was measured."""
        if not self.measured:
            return self.own[record.prompt_tokens].moved
        return None if record.share is None else record.share * self.dense[record.prompt_tokens].moved


def example_facts(facts: CellFacts, records: Sequence[Record], dense: Sequence[Record] | None) -> dict[str, Any]:
    """Compute costs and divergence of one example under one cell; `records` are those of its requests, in order.

    `dense` are the same of the dense cell, or None where it did not run.
    """
    lengths = [r.prompt_tokens for r in records]
    return {
        **facts.labels,
        "example": records[0].example,
        "knobs": facts.knobs(lengths),
        "prompt_tokens": _mean(lengths),
        "cut_tokens": sum(r.cut_tokens for r in records),
        "new_tokens": sum(len(r.tokens) for r in records),
        "seconds": sum(r.seconds for r in records),
        **_costs(facts, records, lengths),
        "active": any(r.active for r in records),
        "first_difference": _first_difference(records, dense) if dense else math.nan,
        "delta_nll": _delta_nll(records, dense) if dense else math.nan,
        **divergence(records),
        "launch": records[-1].launch,
    }


def _costs(facts: CellFacts, records: Sequence[Record], lengths: Sequence[int]) -> dict[str, float]:
    """Average what the requests of an example move and hold, and dense's over the same of them."""
    known = [(own, facts.dense[r.prompt_tokens].moved) for r in records if (own := facts.moved(r)) is not None]
    moved, held = _mean([own for own, _ in known]), _mean([facts.own[n].held for n in lengths])
    return {
        "transfers_elements": moved,
        "bytes_per_token": moved * facts.bytes_per_element,
        "held_bytes": held * facts.bytes_per_element,
        "compression": _mean([dense for _, dense in known]) / moved,
        "memory_compression": _mean([facts.dense[n].held for n in lengths]) / held,
    }


def to_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of the rows, in the order they came: columns that the task declares, then those of ROWS.

    A number that no row has is NaN in all, not None.
    """
    frame = pd.DataFrame(list(rows))
    known = names(ROWS)
    frame = frame.reindex(columns=[*(name for name in frame.columns if name not in known), *known])
    return frame.astype({column.name: float for column in ROWS if column.kind is Kind.NUMBER})


def _first_difference(records: Sequence[Record], dense: Sequence[Record]) -> float:
    """Find the index of the first generated token that differs from dense; NaN if none does."""
    offset = 0
    for record, other in zip(records, dense, strict=True):
        pairs = zip(record.tokens, other.tokens, strict=False)
        found = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if found is None and len(record.tokens) != len(other.tokens):
            found = min(len(record.tokens), len(other.tokens))
        if found is not None:
            return float(offset + found)
        offset += len(record.tokens)
    return math.nan


def _delta_nll(records: Sequence[Record], dense: Sequence[Record]) -> float:
    """Compute the mean |difference| in log-likelihood per token to dense [nats], over tokens that both were given."""
    pairs = [
        abs(a - b)
        for record, other in zip(records, dense, strict=True)
        if record.tokens == other.tokens
        for a, b in zip(record.nll, other.nll, strict=True)
    ]
    return _mean(pairs)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
