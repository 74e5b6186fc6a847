"""One job from configuration to table: what is missing is computed, everything is scored anew."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import pandas as pd

from harness.config import Job
from harness.console import Console
from harness.engine import Engine
from harness.plan import PROTOCOL
from harness.prepare import Prepared, prepare
from harness.results.provenance import provenance
from harness.results.store import Store, append_lines
from harness.results.summary import aggregate
from harness.run import Done, execute, missing, refuse_inert
from harness.tables import write_tables

PROMPT_TAIL = 600
"""Characters of a prompt that are kept for the reader of results."""


def run_job(job: Job, console: Console) -> pd.DataFrame:
    """Run what is missing, score everything, write and print the tables; returns the summary."""
    prepared = prepare(job)
    console.announce(prepared.folder, job, prepared.source.name, prepared.plan)
    with Store(prepared.folder, prepared.key) as store:
        _describe(prepared, store)
        done = _complete(prepared, store, console)
        refuse_inert(prepared.plan.cells, done.values())
        summary = write_tables(prepared, done)
    aggregate(job.results)
    console.table(summary)
    return summary


def _complete(prepared: Prepared, store: Store, console: Console) -> Done:
    """All records of the plan, computing what is missing."""
    cells = prepared.plan.cells
    gaps = missing(prepared.units, cells, store.records())
    if gaps:
        _keep_examples(prepared, store)
        engine = Engine(prepared.checkpoint.load(), prepared.job.engine.prefill_tokens, prepared.job.engine.kernel)
        runs = sum(len(lacking) * len(units) for lacking, units in gaps.items())
        with console.progress(runs) as advance:
            execute(engine, gaps, cells, prepared.encoder, prepared.job.engine, store, advance)
    wanted = {(unit.key, cell.id) for unit in prepared.units for cell in cells}
    return {key: record for key, record in store.records().items() if key in wanted}


def _keep_examples(prepared: Prepared, store: Store) -> None:
    """What a reader needs beside an output: the end of the prompt and the gold answer."""
    shown = (
        {"unit": u.key, "example": u.request.example, "task": u.request.task, "target": u.request.target}
        | {"prompt_tail": u.request.context[-PROMPT_TAIL:], "continuation": u.request.continuation[:PROMPT_TAIL]}
        for u in prepared.units
    )
    (store.folder / "examples.jsonl").unlink(missing_ok=True)
    append_lines(store.folder / "examples.jsonl", shown)


def _describe(prepared: Prepared, store: Store) -> None:
    asked = hashlib.sha256("".join(f"{u.key}{u.request.target}" for u in prepared.units).encode()).hexdigest()[:16]
    store.describe(
        {
            "config": asdict(prepared.job),
            "cells": {cell.id: cell.params for cell in prepared.plan.cells},
            "skipped": [asdict(skip) for skip in prepared.plan.skipped],
            "examples": [u.request.example for u in prepared.units],
            "model_fingerprint": prepared.checkpoint.fingerprint(),
            "data_fingerprint": asked,
            "protocol": PROTOCOL,
            "device": prepared.checkpoint.device,
            **provenance(),
        }
    )
