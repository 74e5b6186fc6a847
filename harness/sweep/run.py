"""Takes one job from configuration to table: what is missing is computed, everything is scored anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
from filelock import FileLock

from harness import methods
from harness.engine import Engine
from harness.engine.device import device_name, find_device
from harness.evaluation.batches import Limits, work_left
from harness.evaluation.engines import make_engine
from harness.evaluation.inert import check_none_inert
from harness.methods.cell import Cell
from harness.store.files import sweep_partials, write_whole
from harness.store.notes import Notes
from harness.store.plain import check_replaceable
from harness.store.provenance import provenance
from harness.store.shard import WHOLE
from harness.store.store import Store
from harness.sweep.batch_tokens import decide_batch_tokens
from harness.sweep.console import Console
from harness.sweep.execute import Executor
from harness.sweep.gpus import place_of_job
from harness.sweep.identity import MODEL_FILES, not_reused
from harness.sweep.interrupt import interruptible
from harness.sweep.job import Job
from harness.sweep.outcome import Outcome, read_outcome
from harness.sweep.prepare import Prepared, prepare
from harness.sweep.protocol import PROTOCOL
from harness.sweep.score import write_tables
from harness.tables.summary import join_summaries

MUTEX, SUMMARY = ".mutex", "summary.csv"
"""The files of a results folder that all its runs write."""
PROMPT_TAIL = 600
"""Characters of a prompt that are kept for the reader of results."""


def run_job(job: Job, console: Console) -> pd.DataFrame | None:
    """Run what is missing, score everything, write and print the tables; returns the summary.

    A shard returns None while others still compute; the last to finish writes the tables of all. Raises RunError when
    example runs failed, after everything else was finished and written.
    """
    place = place_of_job(find_device(job.model.device), job.model.device_map)
    with interruptible(), place as device:
        prepared = prepare(job, device)
        console.announce(prepared.folder, job, prepared.source.name, prepared.plan)
        for sentence in prepared.notes:
            console.say(sentence)
        for sentence in not_reused(prepared.folder, prepared.job, prepared.identity):
            console.say(sentence)
        check_replaceable(job.results / name for name in (MUTEX, SUMMARY))
        with Store(prepared.folder, prepared.identity.key, job.shard, prepared.fault) as store:
            notes = Notes()
            with store.exclusive():
                about = provenance() | {"device": prepared.checkpoint.device, "device_name": device_name(device)}
                _write_examples(prepared)
                _describe(prepared, store, about, notes)
                store.note_launch(about)
            _compute(prepared, store, console, notes)
            with store.exclusive():
                return _conclude(prepared, read_outcome(prepared, store), console)


def _compute(prepared: Prepared, store: Store, console: Console, notes: Notes) -> None:
    """Compute what of this shard is missing, also for what cannot be read; weights are loaded if there is something."""
    job, cells = prepared.job, prepared.plan.cells
    settled = store.settled(notes)
    for sentence in notes.sentences():
        console.say(sentence)
    if all((prompt.key, cell.id) in settled for prompt in prepared.prompts for cell in cells):
        return
    limits = Limits(decide_batch_tokens(prepared, store), job.engine.batch_size)
    micro_batches = work_left(prepared.prompts, cells, settled, limits, job.shard)
    if micro_batches:
        engine = _engine(prepared, {cell for micro_batch in micro_batches for cell in micro_batch.cells})
        runs = sum(micro_batch.runs for micro_batch in micro_batches)
        each = sum(settled.values()) / len(settled) if settled else None
        with console.progress(runs, each) as advance:
            Executor(engine, prepared.encoder, store, advance).run(micro_batches)


def _engine(prepared: Prepared, cells: Iterable[Cell]) -> Engine:
    """Make the engine of some cells, whose methods learn from the task's first prompts what they learn beforehand."""
    lengths, settings = {len(prompt.tokens) for prompt in prepared.prompts}, prepared.job.engine
    wanted = [cell.method_at(n) for cell in cells for n in lengths]
    asked = settings.prefill_tokens, settings.kernel, prepared.job.divergence
    return make_engine(prepared.checkpoint, prepared.model, wanted, prepared.calibrating, *asked)


def _conclude(prepared: Prepared, outcome: Outcome, console: Console) -> pd.DataFrame | None:
    """Write the tables of all that is there, unless other shards are still at work; then raise what failed."""
    if outcome.pending:
        console.say(f"{outcome.pending} example runs are left to other shards: the last one writes the tables")
        outcome.raise_failures()
        return None
    if not outcome.cells:
        outcome.raise_failures()
    summary, inert = write_tables(prepared, outcome.cells, outcome.done)
    with FileLock(prepared.job.results / MUTEX):
        sweep_partials([prepared.job.results / SUMMARY])
        joined = join_summaries(prepared.job.results)
    console.table(summary, prepared.job.results)
    if outcome.outdated:
        console.say(f"not in the tables, because their methods or knobs are others now: {', '.join(outcome.outdated)}")
    for sentence in joined.left_out:
        console.say(sentence)
    outcome.raise_failures()
    check_none_inert(inert)
    return summary


def _describe(prepared: Prepared, store: Store, about: Mapping[str, Any], notes: Notes) -> None:
    """Write run.json. What bounds a batch is carried over from earlier launches, until this one has decided."""
    asked = "".join(f"{p.key}{p.request.target}" for p in prepared.prompts).encode(errors="surrogatepass")
    cells = store.cells(notes) | {cell.id: cell.record for cell in prepared.plan.cells}
    known = {record["method"] for record in cells.values()} & set(methods.names())
    store.describe(
        {
            "config": asdict(replace(prepared.job, shard=WHOLE, knobs=_knobs(prepared))),
            "batch_tokens": store.batch_tokens(),
            "cells": cells,
            "methods": {name: methods.facts(name) for name in sorted(known)},
            "planned": [cell.id for cell in prepared.plan.cells],
            "skipped": [asdict(skip) for skip in prepared.plan.skipped],
            "examples": [p.request.example for p in prepared.prompts],
            "prompts": len(prepared.prompts),
            "prompts_cut": sum(p.lost > 0 for p in prepared.prompts),
            "identity": asdict(prepared.identity),
            "model_fingerprint": prepared.identity.found[MODEL_FILES],
            "data_fingerprint": hashlib.sha256(asked).hexdigest()[:16],
            "protocol": PROTOCOL,
            **about,
        }
    )


def _knobs(prepared: Prepared) -> dict[str, Mapping[str, Any]]:
    """Return the knobs that the configuration sets, of the methods that are run alone."""
    return {name: prepared.job.knobs[name] for name in prepared.job.methods if name in prepared.job.knobs}


def _write_examples(prepared: Prepared) -> None:
    """Write examples.jsonl: what was asked, for the reader of an output."""
    lines = (
        {"unit": p.key, "example": p.request.example, "task": p.request.task, "target": p.request.target}
        | {"prompt_tail": p.request.context[-PROMPT_TAIL:], "continuation": p.request.continuation[:PROMPT_TAIL]}
        for p in prepared.prompts
    )
    write_whole(prepared.folder / "examples.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
