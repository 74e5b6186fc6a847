"""Names tasks and metrics as they are called in print. An unknown name is printed as it is."""

from __future__ import annotations

import re

DENSE = "dense"
"""The method that all others are compared with."""

_TASKS = {
    "squad": "SQuAD",
    "triviaqa": "TriviaQA",
    "cnn_dailymail": "CNN/DailyMail",
    "wikitext": "WikiText-103",
    "repetition": "Repetition",
    "needle": "Needle",
}
_LENGTH = re.compile(r"(?P<task>needle)_(?P<tokens>\d+)")
"""Matches the tasks of one construction at several context lengths."""
_METRICS = {
    "match": "Accuracy",
    "rougeL": "ROUGE-L",
    "bits_per_character": "Bits per character",
    "match_characters": "Matched characters",
    "match_characters_repaired": "Matched characters (repaired)",
}


def task_name(task: str) -> str:
    """Return a task's name in print: "SQuAD" for squad, "Needle at 4096 tokens" for needle_4096."""
    found = _LENGTH.fullmatch(task)
    return f"{_TASKS[found['task']]} at {found['tokens']} tokens" if found else _TASKS.get(task, task)


def metric_name(metric: str) -> str:
    """Return a metric's name in print: "Accuracy" for match."""
    return _METRICS.get(metric, metric)


def task_order(task: str) -> tuple[int, int, str]:
    """Return a key that sorts tasks as above, those of several lengths by length, others by name."""
    known, found = list(_TASKS), _LENGTH.fullmatch(task)
    family, tokens = (found["task"], int(found["tokens"])) if found else (task, 0)
    return known.index(family) if family in known else len(known), tokens, task
