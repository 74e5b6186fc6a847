"""Computes what is left of a job, whatever happens to single batches on the way."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from harness.engine import Engine, NotFiniteError
from harness.errors import InputError, RunError, first_line
from harness.evaluation.batches import MicroBatch, compute
from harness.evaluation.prompts import Encoder
from harness.store.records import Failure, Record
from harness.store.store import Store

GIVE_UP = 32
"""Failures without one success after which a run gives up: it cannot be the examples."""
_LOST_DEVICE: Any = getattr(torch, "AcceleratorError", ())
"""The error of a device itself; older torch has no name for it."""


@dataclass(frozen=True)
class Trouble:
    """Describes an error without its frames, which would hold on to the tensors of the batch that failed."""

    sentence: str
    trace: str
    out_of_memory: bool
    not_finite: bool


@dataclass
class Executor:
    """Runs micro-batches. One that does not fit into memory, or fails, is halved until what fails stands alone.

    `advance` is called with the example runs that each step settled. `most_tokens` is learnt from what did not fit.
    """

    engine: Engine
    encoder: Encoder
    store: Store
    advance: Callable[[int], None]
    most_tokens: float = float("inf")
    succeeded: int = 0
    failed: int = 0

    def run(self, micro_batches: Iterable[MicroBatch]) -> None:
        """Compute and store every micro-batch, or write down its failure. Raises RunError when nothing works at all."""
        waiting = list(micro_batches)[::-1]
        while waiting:
            micro_batch = waiting.pop()
            if micro_batch.tokens > self.most_tokens and micro_batch.halves():
                waiting += micro_batch.halves()[::-1]
                continue
            outcome = self._attempt(micro_batch)
            if isinstance(outcome, Trouble):
                self._free_memory(micro_batch, outcome)
                waiting += micro_batch.halves()[::-1] or self._give_up_on(micro_batch, outcome)
            else:
                self.store.append(outcome)
                self.succeeded += micro_batch.runs
                self.advance(micro_batch.runs)

    def _attempt(self, micro_batch: MicroBatch) -> list[Record] | Trouble:
        """Compute the records of a micro-batch; the shared part of its time is what no cell's decoding took."""
        begin = time.perf_counter()
        try:
            records = compute(self.engine, micro_batch.prompts, micro_batch.cells, self.encoder)
        except Exception as error:  # whatever it is, it may be about one example only
            return examine(error)
        shared = time.perf_counter() - begin - sum(record.seconds for record in records)
        return [replace(record, shared_seconds=round(shared / len(records), 6)) for record in records]

    def _free_memory(self, micro_batch: MicroBatch, trouble: Trouble) -> None:
        if trouble.out_of_memory:
            self.most_tokens = min(self.most_tokens, micro_batch.tokens / 2)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _give_up_on(self, micro_batch: MicroBatch, trouble: Trouble) -> list[MicroBatch]:
        """Write down the failure of a single example run; nothing of it is left to do."""
        (prompt,), (cell,) = micro_batch.prompts, micro_batch.cells
        method = cell.method_at(len(prompt.tokens))
        where = f", first seen in {self.engine.locate(prompt, method)}" if trouble.not_finite else ""
        self.store.fail(Failure(prompt.key, cell.id, prompt.request.example, trouble.sentence + where, trouble.trace))
        self.failed += 1
        self.advance(1)
        if self.failed >= GIVE_UP and not self.succeeded:
            raise RunError(f"the first {self.failed} example runs all failed ({trouble.sentence + where}): giving up")
        return []


def examine(error: Exception) -> Trouble:
    """Describe the trouble of a batch, or raise what no other batch would survive.

    Raises InputError as it came, and RunError for a device that is lost: nothing works on it until the process ends.
    """
    if isinstance(error, InputError | RunError):
        raise error
    sentence = first_line(error)
    if isinstance(error, _LOST_DEVICE) and not _out_of_memory(error):
        raise RunError(f"the device failed ({sentence}): finished work is kept, run the same command again") from error
    lines = traceback.format_exception(error)
    return Trouble(sentence, "".join(lines), _out_of_memory(error), isinstance(error, NotFiniteError))


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
