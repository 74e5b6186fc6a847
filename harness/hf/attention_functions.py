"""Keeps transformers' table of attention functions as it is while foreign code is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


@contextmanager
def kept_attention_functions() -> Iterator[None]:
    """Put every attention function back that was replaced meanwhile: kvpress wraps them all when it is imported."""
    before = dict(ALL_ATTENTION_FUNCTIONS)
    try:
        yield
    finally:
        for name in [name for name, function in ALL_ATTENTION_FUNCTIONS.items() if before.get(name) is not function]:
            del ALL_ATTENTION_FUNCTIONS[name]  # of this table alone: what is registered for all stays
        for name, function in before.items():
            if ALL_ATTENTION_FUNCTIONS[name] is not function:
                ALL_ATTENTION_FUNCTIONS[name] = function
