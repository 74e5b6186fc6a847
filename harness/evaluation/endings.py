"""Finds where a generated text ends: at a token that ends texts, or at a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MARGIN = 8
"""Tokens before those that may hold a stop string: decoded by itself, a first token may lose its leading space."""


@dataclass(frozen=True)
class Ending:
    """Says where a text ends that `tokenizer` decodes: at one of the tokens `ends`, or before a text of `stops`.

    As in lm-eval, an empty stop string ends a text at its first token, and cuts nothing.
    """

    tokenizer: Any
    ends: frozenset[int]
    stops: tuple[str, ...]

    def finished(self, tokens: Sequence[int]) -> bool:
        """Return True if the newest token ends the text, or completes a stop string."""
        if tokens[-1] in self.ends:
            return True
        if not self.stops:
            return False
        # A token holds a byte at least, so that the newest tokens hold every stop string that has just been completed.
        newest = tokens[-MARGIN - max(len(stop.encode()) for stop in self.stops) :]
        text = self.tokenizer.decode(newest)
        return any(stop in text for stop in self.stops)

    def cut(self, text: str) -> str:
        """Cut a text before each stop string in turn, as lm-eval does."""
        for stop in filter(None, self.stops):
            text = text.split(stop, maxsplit=1)[0]
        return text
