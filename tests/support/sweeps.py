"""Sweeps on the tiny model, run as `harness run` runs them, but composed once per session and without its logging."""

import functools
from pathlib import Path
from typing import NamedTuple

from harness.__main__ import guarded
from harness.commands.compose import compositions
from harness.engine import Engine
from harness.sweep.console import Console
from harness.sweep.job import Job
from harness.sweep.run import run_job

SWEEP = ("methods=[dense,sparq,h2o]", "ratios=[2,4]", "budget=balanced", "limit=4", "engine.batch_size=2")
SHORT = ("task=wikitext", "task.arguments.prefix=300", "task.arguments.continuation=40")
"""Prompts of about 100 tokens, of which about 20 more are scored: most of a run's time is decoding."""


class Ended(NamedTuple):
    """How a launch ended: its exit code, what it said on standard error, and the prompts that it prefilled."""

    code: int
    err: str
    prefilled: list


@functools.cache
def configuration(*arguments):
    """The plain configuration of one job; equal arguments are composed once, which takes Hydra 0.2 s."""
    (config,) = compositions(arguments)
    return config


def sweep_job(model, results, *arguments):
    """The sweep as a job on a model's folder; later arguments replace earlier ones, as on the command line."""
    config = configuration("model=custom", f"model.path={model}", "data=embedded", *SHORT, *SWEEP, *arguments)
    return Job.of({**config, "results": str(results)})


def launch(job):
    """Run a job; returns the exit code that the command line would end with."""
    return guarded(lambda: run_job(job, Console()))


def counting_prefills(patch):
    """A list that grows by every prompt that an engine prefills from now on."""
    prefilled, prefill = [], Engine._prefill

    def counted(self, batch, *rest):
        prefilled.extend(prompt.tokens for prompt in batch)
        return prefill(self, batch, *rest)

    patch.setattr(Engine, "_prefill", counted)
    return prefilled


def only_run(results) -> Path:
    """The one run's folder."""
    (folder,) = results.glob("custom-*")
    return folder
