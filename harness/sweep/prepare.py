"""Finds out all that can be known of a job before weights are loaded: model, prompts, grid, where results go."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from harness.data.sources import Source
from harness.engine import CalibratingPrompts
from harness.errors import InputError
from harness.evaluation.batches import contradiction
from harness.evaluation.engines import first_in_turn, refusal
from harness.evaluation.prompts import Encoder, TaskPrompt, tell_cuts
from harness.evaluation.repeats import Round, distinct, rounds
from harness.evaluation.suite import Suite
from harness.hf import Checkpoint, find
from harness.hf.retry import patiently
from harness.names import check_writable, folder_part
from harness.store.records import Record
from harness.sweep.identity import Identity
from harness.sweep.job import Job
from harness.sweep.plan import Plan, make_plan
from harness.sweep.questions import find_questions
from harness.sweep.solving import solver_of


@dataclass(frozen=True)
class Prepared:
    """Holds a job that was found possible: nothing expensive happens until its `model` is asked for.

    `rounds` are the requests of every repeat, each in the order of the suite's questions; `prompts` those of all.
    `notes` are sentences for the user on what was asked for and is not followed, and on prompts that do not fit.
    `calibrating` are the first prompts of the whole task, the same for every limit and shard.
    """

    job: Job
    checkpoint: Checkpoint
    suite: Suite
    source: Source
    encoder: Encoder
    rounds: list[Round]
    prompts: list[TaskPrompt]
    plan: Plan
    notes: list[str]
    calibrating: CalibratingPrompts

    @cached_property
    def identity(self) -> Identity:
        """Return what must agree before a stored output may be used again."""
        return Identity.of(self.job, self.checkpoint, self.source)

    @cached_property
    def model(self) -> Any:
        """Load the weights when they are first asked for; a download that breaks is tried again.

        Raises RunError when it broke every time.
        """
        return patiently(self.checkpoint.load, f"the weights of model '{self.job.model.name}'")

    @cached_property
    def _asked(self) -> dict[str, TaskPrompt]:
        return {prompt.key: prompt for prompt in self.prompts}

    def fault(self, record: Record) -> str:
        """Say what of a stored record contradicts the prompt that it is stored under; "" if nothing does."""
        prompt = self._asked.get(record.unit)
        return "" if prompt is None else contradiction(record, prompt)

    @property
    def folder(self) -> Path:
        """Name the folder for this model on this task and data; more cells and examples go there too."""
        names = (self.job.model.name, self.job.task.label, self.source.name, self.identity.key[:8])
        return self.job.results / "-".join(map(folder_part, names))


def prepare(job: Job, place: str | None = None) -> Prepared:
    """Check all that can be checked without weights. Raises InputError.

    `place` is the device to run on, of those that the job leaves open.
    """
    check_writable("results", job.results)
    checkpoint = replace(find(job.model), place=place)
    tokenizer = checkpoint.tokenizer()
    encoder = Encoder(tokenizer, checkpoint.max_length, checkpoint.generation())
    suite, source, notes = find_questions(job, checkpoint, tokenizer, encoder)
    asked = rounds(suite.requests, job.repeats, job.seed)
    prompts = [prompt for request in distinct(asked) for prompt in encoder.prompts(request)]
    checkpoint.check(prompts)
    lengths = {len(prompt.tokens) for prompt in prompts}
    typical = list(_typical(suite, encoder))
    length = round(statistics.mean(len(prompt.tokens) for prompt in typical))
    solver, refuse = solver_of(job.budget.per, checkpoint.layers, length, lengths), partial(refusal, checkpoint)
    plan = make_plan(job.methods, job.knobs, job.ratios, solver, job.memory_ratios, refuse)
    first = first_in_turn(typical)
    cells = [cell.calibrated(first.name, max(lengths)) for cell in plan.cells]
    notes += tell_cuts(prompts, checkpoint.max_length)
    return Prepared(job, checkpoint, suite, source, encoder, asked, prompts, replace(plan, cells=cells), notes, first)


def _typical(suite: Suite, encoder: Encoder) -> Iterator[TaskPrompt]:
    """Make the prompts of the same examples for every limit, so that a limit changes no cell."""
    for request in suite.typical:
        with contextlib.suppress(InputError):  # beyond the limit an example need not fit; within it, prepare refuses it
            yield from encoder.prompts(request)
