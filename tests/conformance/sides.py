"""Asks hf and us the same, and compares: the same text, the likelihood to 1e-3, or a refusal before weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval.models.huggingface import HFLM

from conformance.requests import Case
from conformance.spelling import PAD
from harness import methods
from harness.errors import InputError
from harness.evaluation.lm_eval_model import HarnessLM
from harness.hf import Checkpoint, ModelSpec, find
from harness.methods.cell import Cell

RELATIVE = 1e-3
Answer = Any
"""A text; (log-likelihood, greedy); or the log-likelihood of a whole text."""


class Hf(HFLM):
    """Answers with lm-eval's hf backend, one question at a time: what stands beside a question must not matter."""

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        super().__init__(str(folder), device="cpu", dtype="float32", batch_size=1, max_length=max_length)

    @property
    def eot_token_id(self) -> int:
        """The end of text; where the tokenizer has none the backend fails, and is lent one that never comes."""
        own = super().eot_token_id
        return self.tokenizer.convert_tokens_to_ids(PAD) if own is None else own

    @property
    def prefix_token_id(self) -> int:
        """What a text without context follows, from which the backend also tells if a text begins with BOS."""
        own = super().prefix_token_id
        return self.eot_token_id if own is None else own


class Weightless(Checkpoint):
    """A checkpoint whose weights nobody may ask for."""

    def load(self) -> Any:
        raise AssertionError("weights were asked for")


class Ours(HarnessLM):
    """Answers with our model of lm-eval under dense attention, `rows` questions at a time, all if that is None."""

    def __init__(self, checkpoint: Checkpoint, rows: int | None = None) -> None:
        super().__init__(checkpoint, Cell.of("dense", methods.create("dense")), rows)


def found(folder: Path, **spec: Any) -> Checkpoint:
    """Find a checkpoint as a user's command would. Raises InputError."""
    return find(ModelSpec("tiny", str(folder), device="cpu", **spec))


def answers(side: HFLM | HarnessLM, case: Case) -> list[Answer]:
    """Ask one side all questions of a case."""
    return list(getattr(side, case.kind)(case.instances()))


def differences(case: Case, ours: Sequence[Answer], hf: Sequence[Answer]) -> list[str]:
    """Say in what answers differ, a line for each sample that does."""
    return [
        f"{[str(part)[-40:] for part in asked]}: ours {mine!r}, hf {its!r}"
        for asked, mine, its in zip(case.asked, ours, hf, strict=True)
        if not _same(mine, its)
    ]


def refusal(folder: Path, case: Case) -> str:
    """Return the sentence with which we refuse a case or its checkpoint without weights."""
    try:
        answers(Ours(Weightless(**vars(found(folder)))), case)
    except InputError as error:
        return str(error)
    raise AssertionError("it was answered without weights")


def _same(ours: Answer, hf: Answer) -> bool:
    if isinstance(hf, str):
        return bool(ours == hf)
    if isinstance(hf, tuple):
        return _same(ours[0], hf[0]) and ours[1] == hf[1]
    return math.isclose(ours, hf, rel_tol=RELATIVE)
