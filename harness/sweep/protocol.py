"""Numbers the rules that a cell's numbers follow, and says why a folder of results is not gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.store.files import read_json

PROTOCOL = 3
"""Raised whenever the same cell would give other numbers; results of another protocol are never reused."""

CHANGES: Mapping[int, tuple[str, ...]] = {
    2: ("on CUDA, H2O's numbers come from a kernel",),
    3: (
        "an output is reused only if the tokenizer and the task's files are, byte for byte, those that made it",
        "knobs are solved for a ratio over all layers of the model, with their windows and widths",
        "texts of the paper's tasks keep their special tokens, and a prompt of theirs that is cut its start token",
        "a generation ends at the tokens that config.json and generation_config.json name, and follows their settings",
        "a rolling text is cut into lm-eval's windows; no start token is doubled; max_tokens bounds a generation",
    ),
}
"""What each protocol changed, a clause per change."""


def changes_since(protocol: int) -> tuple[str, ...]:
    """List what later protocols than this one changed."""
    return tuple(change for number in sorted(CHANGES) if number > protocol for change in CHANGES[number])


def not_reused(folder: Path) -> Iterator[str]:
    """Say why other folders beside this one with results of the same model, task and data are not gone on with.

    The names of such folders differ in their last part only, which begins the key.
    """
    older: dict[int, list[str]] = {}
    for file in sorted(folder.parent.glob("*/run.json")):
        other, protocol = file.parent, read_json(file).get("protocol")
        if _subject(other) == _subject(folder) and isinstance(protocol, int) and protocol != PROTOCOL:
            older.setdefault(protocol, []).append(other.name)
    for protocol, names in sorted(older.items()):
        changed = "; ".join(changes_since(protocol)) or "it is of a newer version"
        yield f"not reused, because computed under protocol {protocol}, not {PROTOCOL}: {', '.join(names)} ({changed})"


def _subject(folder: Path) -> str:
    """Return the part of a folder's name that says which model, task and data it is about."""
    return folder.name.rpartition("-")[0]
