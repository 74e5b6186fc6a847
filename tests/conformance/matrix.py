"""The matrix: which models, tokenizers, requests and settings meet, and what is to come of each meeting."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from conformance import sides
from conformance.checkpoints import MODELS, checkpoint
from conformance.requests import CASES, Case, generation
from conformance.settings import SETTINGS
from conformance.spelling import HABITS
from harness.hf import Checkpoint

PLAIN_MODEL, PLAIN_TOKENIZER = "llama", "adds BOS"
FAST_CASES = ("generate", "likelihood", "rolling, text too long")
"""What every model is asked in the fast selection; the model PLAIN_MODEL is asked everything."""

THOROUGH = ("gpt2", "gemma3_text", "llama4_text, chunks", "phi3, rope longrope", "mixtral, window")
"""Models that meet every tokenizer in the whole matrix: one of each way to count positions, and one of experts."""


@dataclass(frozen=True)
class Entry:
    """Names a model, a tokenizer, and a case or the setting of a generation."""

    model: str
    tokenizer: str
    case: str = "generate"
    setting: str | None = None

    def __str__(self) -> str:
        return " - ".join([self.model, self.tokenizer, self.setting or self.case])

    @property
    def asked(self) -> Case:
        """What is asked."""
        return CASES[self.case] if self.setting is None else generation(**SETTINGS[self.setting].asked)

    @property
    def refused(self) -> str:
        """Words of the sentence with which it is refused; empty if it is answered like hf answers it."""
        refused = HABITS[self.tokenizer].refused
        of_tokenizer = refused.get("") or refused.get(self.case, "")
        of_setting = SETTINGS[self.setting].refused if self.setting else ""
        of_model = MODELS[self.model].refused or MODELS[self.model].but.get(self.setting or "", "")
        return of_model or of_tokenizer or of_setting

    @property
    def fast(self) -> bool:
        """Say if it belongs to the fast selection."""
        if self.model == PLAIN_MODEL:
            return True
        return self.setting is None and self.tokenizer == PLAIN_TOKENIZER and self.case in FAST_CASES

    @property
    def folder(self) -> Path:
        """The checkpoint that both sides are given. Settings that are only asked for share one."""
        return _folder(self.model, self.tokenizer, self.setting)

    def differences(self) -> list[str]:
        """Say in which answers we differ from hf, in one batch or alone."""
        its = sides.answers(_hf(self.folder), self.asked)
        return [
            f"{how}: {line}"
            for how, rows in (("in a batch", None), ("alone", 1))
            for line in sides.differences(self.asked, sides.answers(_ours(self.folder, rows), self.asked), its)
        ]

    def refusal(self) -> str:
        """Return the sentence with which we refuse it without weights."""
        return sides.refusal(self.folder, self.asked)


def _folder(model: str, tokenizer: str, setting: str | None) -> Path:
    stores = setting is not None and (SETTINGS[setting].stored != {} or SETTINGS[setting].config != {})
    return checkpoint(model, tokenizer, setting if stores else None)


@functools.lru_cache(maxsize=2)
def _hf(folder: Path) -> sides.Hf:
    return sides.Hf(folder)


@functools.lru_cache(maxsize=2)
def _found(folder: Path) -> Checkpoint:
    return sides.found(folder)


@functools.lru_cache(maxsize=4)
def _ours(folder: Path, rows: int | None) -> sides.Ours:
    return sides.Ours(_found(folder), rows)


def _meetings(model: str, tokenizer: str) -> list[Entry]:
    """Ask every case; what is refused in whole is asked once. Without a token hf has nothing to feed a model."""
    if MODELS[model].refused or "" in HABITS[tokenizer].refused:
        return [Entry(model, tokenizer)]
    impossible = {"generate, no context"} if HABITS[tokenizer].template == "$A" else set()
    return [Entry(model, tokenizer, case) for case in CASES if case not in impossible]


def _settings(model: str) -> list[Entry]:
    return [] if MODELS[model].refused else [Entry(model, PLAIN_TOKENIZER, setting=setting) for setting in SETTINGS]


PAIRS = [(model, PLAIN_TOKENIZER) for model in MODELS]
PAIRS += [(model, tokenizer) for model in (PLAIN_MODEL, *THOROUGH) for tokenizer in HABITS]
ENTRIES = tuple(
    [entry for pair in dict.fromkeys(PAIRS) for entry in _meetings(*pair)]
    + [entry for model in MODELS for entry in _settings(model)]
)
"""The whole matrix; entries of one checkpoint stand side by side."""
