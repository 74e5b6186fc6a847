"""Chooses the rows a task reads: the hub's, a folder of parquet files, or the embedded corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data.embedded import materialise
from harness.data.hub import hub_answers, use_cache_without_hub
from harness.errors import InputError

UNREAD: Mapping[str, tuple[str, ...]] = {
    "auto": ("root",),
    "hub": ("root", "files", "arguments"),
    "local": (),
    "embedded": ("root",),
}
"""The kinds of data, each with the keys that it has no use for."""


@dataclass(frozen=True)
class DataSpec:
    """Describes a file of conf/data/: its kind, and for folders the files and construction arguments of each task."""

    kind: str
    root: str | None = None
    files: Mapping[str, list[str]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in UNREAD:
            raise InputError(f"data.kind={self.kind} is unknown: choose from {', '.join(UNREAD)}")
        for key in UNREAD[self.kind]:
            if getattr(self, key):
                raise InputError(f"data.{key} is set, but data={self.kind} reads no {key}: choose data=local")
        for task in self.arguments.keys() - self.files.keys():
            raise InputError(f"data.arguments.{task} is set, but data.files has no {task} that would read it")


@dataclass(frozen=True)
class Source:
    """Holds what a task's construction is called with; `name` goes into the results."""

    name: str
    arguments: Mapping[str, Any]


def resolve(data: DataSpec, task: str, corpus: Path, cache: Path) -> Source:
    """Find the source of one of the paper's tasks. Raises InputError if a folder has no file for it.

    "auto" is the hub where it can be reached, else the embedded corpus.
    """
    if data.kind == "hub":
        use_cache_without_hub()
    kind = data.kind if data.kind != "auto" else ("hub" if hub_answers() else "embedded")
    if kind == "hub":
        return Source("hub", {})
    if task not in data.files:
        raise InputError(f"data={kind} names no file for task {task}: add data.files.{task}=[FILE.parquet]")
    root = materialise(corpus, cache) if kind == "embedded" else _root(data)
    files = [str(root / file) for file in data.files[task]]
    return Source(kind, {"source": {"files": files}, **data.arguments.get(task, {})})


def _root(data: DataSpec) -> Path:
    if not data.root:
        raise InputError("data=local needs data.root=FOLDER, a folder of parquet files")
    root = Path(data.root).expanduser().resolve()
    if not root.is_dir():
        raise InputError(f"data.root={data.root} is not a folder: check the path, or choose data=embedded")
    return root
