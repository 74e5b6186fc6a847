"""Defines the lines of a run's files, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.store.schema import Name

MOST_TOKENS = 1 << 31
"""No vocabulary has as many."""
Key = tuple[str, str]
"""(unit, cell) of an example run."""


@dataclass(frozen=True)
class DivergenceRecord:
    """Holds how far an output's predictions lie from dense's: harness/engine/divergence.py, lengths of draft as text.

    Of each length, `drafts` has the whole rounds of drafting and the tokens that dense accepted in them.
    """

    steps: int
    kl: float
    agreement: float
    lost: float
    drafts: Mapping[str, list[int]]

    def __post_init__(self) -> None:
        if self.steps < 0 or any(len(counts) != 2 for counts in self.drafts.values()):
            raise ValueError("divergence counts no steps and drafts")


@dataclass(frozen=True)
class Record:
    """Holds what one cell made of one unit of work.

    nll in nats per token; seconds is its share of the decoding time, shared_seconds of everything else in its batch;
    launch names the line of launches.jsonl with the commit and versions that computed it; share is what part of dense's
    bytes its decode steps moved, where the method measures that and there was one. divergence is what a comparison with
    dense found, where one was asked for and there was a step. batch, "NAME/COUNT", names the batch that it was written
    in, and how many records that has. A field that is added needs a default: older lines are read with that.
    """

    unit: Name
    cell: Name
    example: str
    tokens: list[int]
    nll: list[float]
    greedy: bool
    active: bool
    seconds: float
    prompt_tokens: int
    text: str = ""
    shared_seconds: float = 0.0
    cut_tokens: int = 0
    launch: str = ""
    share: float | None = None
    divergence: DivergenceRecord | None = None
    batch: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.nll):
            raise ValueError("tokens and nll are of different lengths")
        if self.tokens and not 0 <= min(self.tokens) <= max(self.tokens) < MOST_TOKENS:
            raise ValueError("tokens are not ids of tokens")

    @property
    def key(self) -> Key:
        """Return which example run this is."""
        return self.unit, self.cell

    @property
    def line(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return vars(self) | ({} if self.divergence is None else {"divergence": vars(self.divergence)})


@dataclass(frozen=True)
class Failure:
    """Describes an example run that could not be finished: one sentence, and the traceback for whoever mends it."""

    unit: Name
    cell: Name
    example: str
    error: str
    trace: str = ""

    @property
    def key(self) -> Key:
        """Return which example run this is."""
        return self.unit, self.cell


@dataclass(frozen=True)
class Answer:
    """Holds of a record what a reader of outputs is shown."""

    unit: Name
    cell: Name
    text: str = ""


@dataclass(frozen=True)
class Asked:
    """Describes for the reader of an output what was asked: a line of examples.jsonl.

    prompt_tail is the prompt's end; target what the data set has as the answer; continuation what was to be scored.
    """

    unit: Name
    example: str = ""
    task: str = ""
    target: str = ""
    prompt_tail: str = ""
    continuation: str = ""


@dataclass(frozen=True)
class RanOn:
    """Describes what a launch ran on, as harness/store/provenance.py finds it: versions of packages that matter."""

    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    machine: str = ""
    argv: list[str] = field(default_factory=list)
    device: str = ""
    device_name: str = ""


@dataclass(frozen=True)
class Launch(RanOn):
    """Describes a launch: a line of launches.jsonl."""

    launch: Name = field(kw_only=True)
