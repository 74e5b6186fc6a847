"""Finds the examples whose score is decided by first tokens, which the prefill gives before a method acts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.evaluation.prompts import Encoder, TaskPrompt
from harness.store.records import Record


class Example(NamedTuple):
    """Names an example of a task."""

    task: str
    name: str


def find_decided(answered: Iterable[tuple[TaskPrompt, Record]], encoder: Encoder) -> set[Example]:
    """Find the examples all of whose outputs are decided by their first token.

    An output is if it has no other token, or if its task says that whatever follows gives the same score.
    """
    found: dict[Example, bool] = {}
    for prompt, record in answered:
        example = Example(prompt.request.task, prompt.request.example)
        found[example] = found.get(example, True) and _decided(prompt, record, encoder)
    return {example for example, decided in found.items() if decided}


def _decided(prompt: TaskPrompt, record: Record, encoder: Encoder) -> bool:
    if len(record.tokens) <= 1:
        return True
    settled = prompt.request.settled
    return settled is not None and settled(encoder.text(prompt.request, record.tokens[:1]))
