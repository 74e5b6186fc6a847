"""Defines what run.json holds, and reads it whichever version wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.errors import InputError
from harness.store.notes import Notes
from harness.store.plain import UnreadableError, parse_shallow, read_json
from harness.store.records import RanOn
from harness.store.schema import Name, Schema

FILE = "run.json"


@dataclass(frozen=True)
class CellRecord:
    """Holds what is enough to make a cell again: harness/methods/cell.py. params are knobs as JSON."""

    method: Name
    params: str
    ratio: float | None = None
    per: Literal["task", "example"] | None = None
    bounds: Literal["moved", "held"] = "moved"
    calibration: str = ""

    def __post_init__(self) -> None:
        parse_shallow(self.params)


@dataclass(frozen=True)
class Description(RanOn):
    """Describes a run: what was asked for, what of it the latest launch planned, and what that ran on.

    key identifies the run, and identity what that is made of; cells are those of all launches, as CellRecord has each,
    methods the facts of theirs by name; batch_tokens bounds a batch; examples are ids, a prompt each; prompts_cut of
    the prompts did not fit into the model's positions; the rest is what launches.jsonl has of each launch.
    """

    key: str = ""
    protocol: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    cells: Mapping[str, Any] = field(default_factory=dict)
    planned: list[Name] = field(default_factory=list)
    skipped: list[Any] = field(default_factory=list)
    methods: Any = None
    batch_tokens: int | None = None
    examples: list[str] = field(default_factory=list)
    prompts: int = 0
    prompts_cut: int = 0
    model_fingerprint: str = ""
    data_fingerprint: str = ""

    def part(self, *path: str) -> dict[str, Any]:
        """Return a part of the configuration; empty where another version has none, or something else there."""
        found: Any = self.config
        for name in path:
            found = as_mapping(as_mapping(found).get(name))
        return as_mapping(found)


class Read(NamedTuple):
    """Holds a description without the fields that are not as they must be, and what is wrong with each of those.

    `there` says if there was an object to be read.
    """

    description: Description
    faults: list[str]
    there: bool = False


DESCRIPTION, CELL = Schema.of(Description), Schema.of(CellRecord)


def find_runs(root: Path) -> list[Path]:
    """List the folders of runs in a results folder, by name, or the folder itself if it is a run's.

    What stands there as run.json may be anything. Raises InputError for a folder that cannot be read.
    """
    try:
        if _stands(root / FILE):
            return [root]
        return sorted(folder for folder in root.iterdir() if folder.is_dir() and _stands(folder / FILE))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{root} cannot be read ({error.strerror}): give a folder that can") from None


def read_description(folder: Path, notes: Notes) -> Read:
    """Read a run's description; a missing one is empty, one that is no JSON object is empty and at fault."""
    file = folder / FILE
    try:
        found = read_json(file)
    except FileNotFoundError:
        return Read(Description(), [])
    except UnreadableError as error:
        notes.leave_out(file, str(error))
        return Read(Description(), [str(error)])
    values, faults = DESCRIPTION.sift(found)
    for fault in faults:
        notes.leave_out_field(file, fault)
    if not found.keys() <= DESCRIPTION.known:
        notes.pass_over(file, found.keys() - DESCRIPTION.known)
    return Read(Description(**values), faults, bool(found))


def read_cells(folder: Path, notes: Notes) -> dict[str, dict[str, Any]]:
    """Read what earlier launches computed, by cell: method, params and ratio, enough to make each again.

    The first versions wrote the params alone. An entry that is none is noted and left out.
    """
    found = {}
    for cell, entry in read_description(folder, notes).description.cells.items():
        alone = {"method": cell.rpartition("-")[0], "params": entry} if isinstance(entry, str) else as_mapping(entry)
        try:
            CELL.read(alone)
        except UnreadableError as error:
            notes.leave_out_field(folder / FILE, f"the cell {cell}: {error}")
        else:
            found[cell] = {"ratio": None, **alone}
    return found


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a JSON value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _stands(file: Path) -> bool:
    """Say if anything stands under a file's name, also a link that leads nowhere, or what may not be looked at."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        pass
    return True
