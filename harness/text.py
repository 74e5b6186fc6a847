"""Makes text of unknown origin fit to print: no control characters, no word without end."""

from __future__ import annotations

import re

LONGEST_WORD = 300
_LONG = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def printable(text: str) -> str:
    """Return text in one line, with escapes in place of what does not print and long words cut in the middle.

    What does not print are control characters, line breaks, marks that turn the direction of writing, and halves of
    surrogate pairs.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _LONG.sub(lambda found: _shortened(found[0]), shown)


def _shortened(word: str) -> str:
    return f"{word[:80]}...({len(word)} characters)...{word[-40:]}"
