"""Finds out how a job ended: the records that can be scored, and everything that cannot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.attention import LayerShape
from harness.errors import InputError, RunError
from harness.evaluation.batches import Done
from harness.evaluation.prompts import TaskPrompt
from harness.methods.cell import Cell
from harness.store.records import Failure
from harness.store.store import Store
from harness.sweep.prepare import Prepared

MOST_LISTED = 5


@dataclass(frozen=True)
class Outcome:
    """Holds the records of whole examples by (unit, cell), the cells that can be scored, and why others cannot.

    `pending` example runs are neither done nor failed: other shards have yet to do them. `outdated` names cells of
    earlier launches whose method is no more or has other knobs: they stay in the outputs, not in the tables.
    """

    done: Done
    cells: list[Cell]
    failures: Sequence[Failure]
    pending: int
    outdated: list[str]
    folder: str

    def raise_failures(self) -> None:
        """Raise RunError for failed example runs."""
        if self.failures:
            listed = "; ".join(f"example {f.example} under {f.cell}: {f.error}" for f in self.failures[:MOST_LISTED])
            more = f"; and {len(self.failures) - MOST_LISTED} more" if len(self.failures) > MOST_LISTED else ""
            raise RunError(
                f"{len(self.failures)} example runs failed, everything else is finished: {listed}{more} "
                f"({self.folder}/errors*.jsonl has the details; the same command tries them again)"
            )


def read_outcome(prepared: Prepared, store: Store) -> Outcome:
    """Read back what is there for a job's plan, and for cells of earlier launches that have all of its examples."""
    planned = prepared.plan.cells
    wanted = {(prompt.key, cell.id) for prompt in prepared.prompts for cell in planned}
    cells, done, outdated = _read_known(prepared, store)
    failed = {key: failure for key, failure in store.failures().items() if key in wanted and key not in done}
    scorable = _of_whole_examples(prepared.prompts, cells, done)
    scored = {cell for _, cell in scorable}
    return Outcome(
        done=scorable,
        cells=[cell for cell in cells if cell.id in scored],
        failures=list(failed.values()),
        pending=len(wanted - done.keys() - failed.keys()),
        outdated=outdated,
        folder=str(store.folder),
    )


class _Known(NamedTuple):
    """Holds the cells that may be scored, their records, and names of cells that cannot be made again."""

    cells: list[Cell]
    done: Done
    outdated: list[str]


def _read_known(prepared: Prepared, store: Store) -> _Known:
    """Read the planned cells and those of earlier launches that have every example, dense first, and their records."""
    keys = [prompt.key for prompt in prepared.prompts]
    known = {cell.id: cell for cell in prepared.plan.cells}
    lengths = sorted(len(prompt.tokens) for prompt in prepared.prompts)
    outdated = []
    for name, record in store.cells().items():
        if name not in known:
            cell = find_cell(name, record, prepared.checkpoint.layers, (lengths[0], lengths[-1]))
            if cell is None:
                outdated.append(name)
            else:
                known[name] = cell
    done = store.records({(key, cell) for key in keys for cell in known})
    planned = {cell.id for cell in prepared.plan.cells}
    kept = [cell for cell in known.values() if cell.id in planned or all((key, cell.id) in done for key in keys)]
    kept.sort(key=lambda cell: not cell.is_dense)
    names = {cell.id for cell in kept}
    return _Known(kept, {key: record for key, record in done.items() if key[1] in names}, outdated)


def find_cell(
    name: str, record: Mapping[str, Any], layers: Sequence[LayerShape], lengths: Iterable[int]
) -> Cell | None:
    """Make an earlier launch's cell again, and its methods for prompts of some lengths.

    None if its method is no more, its knobs are others, or none can be solved for its ratio.
    """
    try:
        cell = Cell.from_record(record, layers)
        for length in lengths:
            cell.method_at(length)
    except InputError:
        return None
    return cell if cell.id == name else None


def _of_whole_examples(prompts: Sequence[TaskPrompt], cells: Sequence[Cell], done: Done) -> Done:
    """Leave out the records of examples of which a cell lacks a part: they cannot be scored."""
    parts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for prompt in prompts:
        parts[prompt.request.task, prompt.request.example].append(prompt.key)
    return {
        (key, cell.id): done[key, cell.id]
        for keys in parts.values()
        for cell in cells
        if all((key, cell.id) in done for key in keys)
        for key in keys
    }
