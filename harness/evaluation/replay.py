"""Answers lm-eval's requests from what was generated before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lm_eval.api.model import LM

from harness.store.records import Record

Reply = str | tuple[float, bool] | float
"""Generated text; (log-likelihood, greedy); or a rolling log-likelihood. Natural logarithms."""


class Place(NamedTuple):
    """Names one of lm-eval's instances: its task, the number of its document, and its own within the document."""

    task: str
    document: int
    number: int


def reply(records: Sequence[Record], kind: str) -> Reply:
    """Make what lm-eval would have got from the model for a request of the records of its prompts."""
    if kind == "generate":
        return records[0].text
    likelihood = -sum(sum(record.nll) for record in records)
    return likelihood if kind == "roll" else (likelihood, all(record.greedy for record in records))


class Replay(LM):  # type: ignore[misc]
    """Looks answers up by the place of a request; one that is asked again is given the next answer of its place."""

    def __init__(self, answers: Mapping[Place, Sequence[Reply]]) -> None:
        super().__init__()
        self._answers = {place: iter(replies) for place, replies in answers.items()}

    def _look_up(self, requests: list[Any]) -> list[Any]:
        return [next(self._answers[Place(r.task_name, r.doc_id, r.idx)]) for r in requests]

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Return the texts."""
        return self._look_up(requests)

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Return the likelihoods of continuations."""
        return self._look_up(requests)

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Return the likelihoods of whole texts."""
        return self._look_up(requests)
