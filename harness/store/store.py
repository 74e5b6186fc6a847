"""Appends the raw outputs of a run, and finds what is already there when it starts again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import InputError
from harness.store.files import Claim, append_lines, as_mapping, read_json, write_whole
from harness.store.records import Failure, Key, Record, read_failures, read_records
from harness.store.shard import WHOLE, Shard


class Store:
    """Opens the folder of one run for one shard, which no other process may hold at the same time.

    outputs.jsonl (of a shard: outputs.1of4.jsonl) grows by a batch at a time. A batch that a crash tore is computed
    again as the whole that it was: only the same rows side by side give the same numbers to the bit. errors.jsonl says
    what failed in the latest launch, run.json what the run is, launches.jsonl what each launch ran on.
    """

    def __init__(self, folder: Path, key: str, shard: Shard = WHOLE) -> None:
        self.folder = folder
        self._key = key
        self._outputs = folder / f"outputs{shard.suffix}.jsonl"
        self._errors = folder / f"errors{shard.suffix}.jsonl"
        self._count = shard.count
        self.launch = uuid.uuid4().hex[:8]
        self._claim = Claim(folder, shard)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim.take()
        try:
            self._check_key()
            self._forget_failures()
        except BaseException:
            self._claim.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._claim.release()

    def exclusive(self) -> AbstractContextManager[Any]:
        """Return the lock to hold while files that all shards share are written."""
        return self._claim.exclusive

    def settled(self) -> dict[Key, float]:
        """Find the example runs that need not be computed again, with the seconds that each took.

        Their whole batch is there, in any shard's file. The records, read when all is there, take far more memory.
        """
        stored = (found.record for found in read_records(self.folder) if found.in_whole_batch)
        return {record.key: record.seconds + record.shared_seconds for record in stored}

    def records(self, wanted: Collection[Key] | None = None) -> dict[Key, Record]:
        """Read the wanted records, or all: the latest of each, those of whole batches before those of torn ones."""
        found: dict[Key, Record] = {}
        loose: dict[Key, Record] = {}
        for record, in_whole_batch in read_records(self.folder):
            if wanted is None or record.key in wanted:
                (found if in_whole_batch else loose)[record.key] = record
        return loose | found

    def failures(self) -> dict[Key, Failure]:
        """Read what failed in the latest launch, of any shard."""
        return {failure.key: failure for failure in read_failures(self.folder)}

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of a batch so that they survive the process: all of them or none."""
        batch = f"{uuid.uuid4().hex[:8]}/{len(records)}"
        append_lines(self._outputs, (vars(record) | {"batch": batch, "launch": self.launch} for record in records))

    def fail(self, failure: Failure) -> None:
        """Write down an example run that failed; the next launch tries it again."""
        append_lines(self._errors, [vars(failure)])

    def cells(self) -> dict[str, dict[str, Any]]:
        """Read what earlier launches computed here, by cell: method, params and ratio, enough to make each again.

        The first versions wrote the params alone; an entry that says less is left out.
        """
        found = {}
        for cell, entry in as_mapping(self._description().get("cells")).items():
            alone = {"method": cell.rpartition("-")[0], "params": entry} if isinstance(entry, str) else entry
            record = {"ratio": None, **as_mapping(alone)}
            if {"method", "params"} <= record.keys():
                found[cell] = record
        return found

    def batch_tokens(self) -> int | None:
        """Read what bounded the batches of the latest launch; None if that is not decided, or there was none."""
        described = self._description()
        before_auto = as_mapping(as_mapping(described.get("config")).get("engine")).get("batch_tokens")
        found = described.get("batch_tokens", before_auto)
        return found if isinstance(found, int) else None

    def note_launch(self, provenance: Mapping[str, Any]) -> None:
        """Write down what this process runs on; its records refer to that. To be called while `exclusive`."""
        append_lines(self.folder / "launches.jsonl", [{"launch": self.launch, **provenance}])

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write run.json whole."""
        text = json.dumps({"key": self._key, **description}, indent=2, sort_keys=True, default=str)
        write_whole(self.folder / "run.json", text + "\n")

    def amend(self, entries: Mapping[str, Any]) -> None:
        """Replace some entries of run.json. To be called while `exclusive`."""
        self.describe({**self._description(), **entries})

    def _description(self) -> dict[str, Any]:
        return read_json(self.folder / "run.json")

    def _check_key(self) -> None:
        """Raise InputError for a folder of another run.

        A torn run.json blocks nothing: the folder's name carries the key too, and the file is written anew.
        """
        described = self._description()
        if described and described.get("key") != self._key:
            raise InputError(f"{self.folder} holds results of another run: move it away, or choose results=FOLDER")

    def _forget_failures(self) -> None:
        for file in self.folder.glob("errors*.jsonl"):
            if file == self._errors or not file.stem.endswith(f"of{self._count}"):
                file.unlink(missing_ok=True)
