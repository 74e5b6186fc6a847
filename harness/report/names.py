"""How methods, tasks and metrics are called in print. An unknown name is printed as it is."""

from __future__ import annotations

import re

DENSE = "dense"
CONTROLS = frozenset({"oracle_topk", "random_k"})
"""Methods whose choice is not paid for or not meant: drawn, but never marked as the best."""

_METHODS = {
    "dense": "Dense",
    "sparq": "SparQ",
    "h2o": "H2O",
    "lm_infinite": "LM-Infinite",
    "flexgen": "FlexGen",
    "lru": "LRU",
    "low_rank": "Low rank",
    "oracle_topk": "Oracle top-k",
    "random_k": "Random k",
    "streaming": "StreamingLLM",
    "window": "Window",
}
_TASKS = {
    "squad": "SQuAD",
    "triviaqa": "TriviaQA",
    "cnn_dailymail": "CNN/DailyMail",
    "wikitext": "WikiText-103",
    "repetition": "Repetition",
    "needle": "Needle",
}
_LENGTH = re.compile(r"(?P<task>needle)_(?P<tokens>\d+)")
"""A task for each context length."""
_METRICS = {
    "match": "Accuracy",
    "rougeL": "ROUGE-L",
    "bits_per_character": "Bits per character",
    "match_characters": "Matched characters",
}


def method_name(method: str) -> str:
    """Such as "LM-Infinite" for lm_infinite."""
    return _METHODS.get(method, method)


def task_name(task: str) -> str:
    """Such as "SQuAD" for squad, "Needle at 4096 tokens" for needle_4096."""
    found = _LENGTH.fullmatch(task)
    return f"{_TASKS[found['task']]} at {found['tokens']} tokens" if found else _TASKS.get(task, task)


def metric_name(metric: str) -> str:
    """Such as "Accuracy" for match."""
    return _METRICS.get(metric, metric)


def task_order(task: str) -> tuple[int, int, str]:
    """Sorts tasks as above, those of several lengths by length, others by name."""
    known, found = list(_TASKS), _LENGTH.fullmatch(task)
    family, tokens = (found["task"], int(found["tokens"])) if found else (task, 0)
    return known.index(family) if family in known else len(known), tokens, task


def order(method: str) -> tuple[bool, bool, int, str]:
    """Sorts methods as they are listed: dense, the compressing ones as above, controls."""
    known = list(_METHODS)
    return method != DENSE, method in CONTROLS, known.index(method) if method in known else len(known), method
