"""Appends the raw outputs of a run, and finds what is already there when it starts again."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import InputError
from harness.store.description import FILE, Description, read_cells, read_description
from harness.store.files import Claim, append_lines, sweep_partials, write_whole
from harness.store.lines import RECORD, no_fault, read_failures, read_records
from harness.store.notes import Notes
from harness.store.plain import UnreadableError, check_replaceable, read_json
from harness.store.records import Failure, Key, Record
from harness.store.shard import WHOLE, Shard

SHARED = (FILE, "launches.jsonl", "examples.jsonl", "rows.parquet", "summary.csv")
"""The files that all shards of a run write, one at a time."""


class Store:
    """Opens the folder of one run for one shard, which no other process may hold at the same time.

    outputs.jsonl (of a shard: outputs.1of4.jsonl) grows by a batch at a time. A batch that a crash tore is computed
    again as the whole that it was: only the same rows side by side give the same numbers to the bit. errors.jsonl says
    what failed in the latest launch, run.json what the run is, launches.jsonl what each launch ran on.

    `fault` says what is wrong with a record that was read, "" if nothing is; one at fault is as good as torn.
    """

    def __init__(self, folder: Path, key: str, shard: Shard = WHOLE, fault: Callable[[Record], str] = no_fault) -> None:
        self.folder = folder
        self._key = key
        self._fault = fault
        self._outputs = folder / f"outputs{shard.suffix}.jsonl"
        self._errors = folder / f"errors{shard.suffix}.jsonl"
        self._count = shard.count
        self.launch = uuid.uuid4().hex[:8]
        self._claim = Claim(folder, shard)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        shared = [self.folder / name for name in SHARED]
        check_replaceable([self._outputs, self._errors, *shared, *self._claim.files()])
        self._claim.take()
        try:
            self._check_key()
            self._forget_failures()
            with self.exclusive():
                sweep_partials(shared)
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

    def settled(self, notes: Notes | None = None) -> dict[Key, float]:
        """Find the example runs that need not be computed again, with the seconds that each took.

        Their whole batch is there, in any shard's file. The records, read when all is there, take far more memory.
        """
        read = read_records(self.folder, notes or Notes(), self._fault)
        stored = (found.record for found in read if found.in_whole_batch)
        return {record.key: record.seconds + record.shared_seconds for record in stored}

    def records(self, wanted: Collection[Key] | None = None) -> dict[Key, Record]:
        """Read the wanted records, or all: the latest of each, those of whole batches before those of torn ones."""
        found: dict[Key, Record] = {}
        loose: dict[Key, Record] = {}
        for record, in_whole_batch in read_records(self.folder, Notes(), self._fault):
            if wanted is None or record.key in wanted:
                (found if in_whole_batch else loose)[record.key] = record
        return loose | found

    def failures(self) -> dict[Key, Failure]:
        """Read what failed in the latest launch, of any shard."""
        return {failure.key: failure for failure in read_failures(self.folder, Notes())}

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of a batch so that they survive the process: all of them or none.

        Raises UnreadableError, which is a mistake of whoever made them, for what could not be read again.
        """
        batch = f"{uuid.uuid4().hex[:8]}/{len(records)}"
        lines = [record.line | {"batch": batch, "launch": self.launch} for record in records]
        for line in lines:
            RECORD.read(line)
        append_lines(self._outputs, lines)

    def fail(self, failure: Failure) -> None:
        """Write down an example run that failed; the next launch tries it again."""
        append_lines(self._errors, [vars(failure)])

    def cells(self, notes: Notes | None = None) -> dict[str, dict[str, Any]]:
        """Read what earlier launches computed here, by cell: enough to make each again."""
        return read_cells(self.folder, notes or Notes())

    def batch_tokens(self) -> int | None:
        """Read what bounded the batches of the latest launch; None if that is not decided, or there was none."""
        described = self._description()
        before_auto = described.part("engine").get("batch_tokens")
        found = described.batch_tokens or before_auto
        return found if isinstance(found, int) and found > 0 else None

    def note_launch(self, provenance: Mapping[str, Any]) -> None:
        """Write down what this process runs on; its records refer to that. To be called while `exclusive`."""
        append_lines(self.folder / "launches.jsonl", [{"launch": self.launch, **provenance}])

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write run.json whole."""
        text = json.dumps({"key": self._key, **description}, indent=2, sort_keys=True, default=str)
        write_whole(self.folder / FILE, text + "\n")

    def amend(self, entries: Mapping[str, Any]) -> None:
        """Replace some entries of run.json. To be called while `exclusive`."""
        try:
            found = read_json(self.folder / FILE)
        except (FileNotFoundError, UnreadableError):
            found = {}
        self.describe({**found, **entries})

    def _description(self) -> Description:
        return read_description(self.folder, Notes()).description

    def _check_key(self) -> None:
        """Raise InputError for a folder of another run.

        A torn run.json blocks nothing: the folder's name carries the key too, and the file is written anew.
        """
        described = read_description(self.folder, Notes())
        if described.there and described.description.key != self._key:
            raise InputError(f"{self.folder} holds results of another run: move it away, or choose results=FOLDER")

    def _forget_failures(self) -> None:
        for file in self.folder.glob("errors*.jsonl"):
            if file == self._errors or not file.stem.endswith(f"of{self._count}"):
                with contextlib.suppress(IsADirectoryError):
                    file.unlink(missing_ok=True)
