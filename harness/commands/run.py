"""`harness run` runs every job that Hydra composes, whatever happens to others."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from harness.commands.compose import GROUPS, Label, choices, launch, show
from harness.commands.parser import Parser
from harness.errors import InputError, RunError
from harness.sweep.interrupt import interruptible

ABOUT = "Run a model on a task under methods x compression ratios, with one dense prefill for all of them."
EXAMPLES = """examples:
  harness run experiment=quickstart
  harness run model=smollm2 task=squad 'methods=[dense,sparq,h2o]' 'ratios=[2,4,8]' limit=16
  harness run -m task=squad,triviaqa 'method.sparq.r=[8,16,32]'   several jobs; a list makes a cell of each value
  harness run 'methods=[dense,h2o]' 'ratios=[]' 'memory_ratios=[4]'    knobs solved for what is held in memory
  harness run dense_layers=2                                      every method leaves the first two layers dense
  harness run --cfg job                                           every key with its value; runs nothing

A run that was stopped goes on where it was, when the same command is given again.

names to choose from (`harness list` has a line on each):
"""


def add_arguments(parser: Parser) -> None:
    """Declare overrides of the configuration, and what is done with it."""
    names = "".join(f"  {group}: {', '.join(choices(group))}\n" for group in GROUPS)
    parser.epilog = EXAMPLES + names
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="a part of the configuration; +KEY adds one")
    shown = parser.add_argument_group("what is done; without these, one job is run")
    either = shown.add_mutually_exclusive_group()
    either.add_argument("-m", "--multirun", action="store_true", help="run a job for each value: task=squad,triviaqa")
    either.add_argument("-c", "--cfg", choices=["job", "hydra", "all"], help="print the configuration, run nothing")
    parts = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    either.add_argument("-i", "--info", nargs="?", const="all", choices=parts, help="print how it is composed")
    shown.add_argument("--resolve", action="store_true", help="print it with references replaced by values")
    shown.add_argument("-p", "--package", metavar="KEY", help="print only this part of it")
    add_folder(parser)


def add_folder(parser: Parser) -> None:
    """Declare a further folder of configuration."""
    parser.add_argument(
        "-cd", "--config-dir", type=Path, metavar="FOLDER", help="a further folder beside conf/, read as data only"
    )


def run(given: argparse.Namespace) -> None:
    """Run all jobs. Raises InputError for a configuration that does not compose, and, in the end, what jobs raised."""
    if given.cfg or given.info:
        show(given.overrides, given.cfg, given.info, given.package, given.resolve, given.config_dir)
        return
    if given.resolve or given.package:
        raise InputError("--resolve and --package are of what --cfg prints: add --cfg job")
    sys.argv = ["harness run", *given.arguments]  # as run.json has it
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar, ours, instead of one of every library
    with interruptible(), tempfile.TemporaryDirectory(prefix="harness-") as folder:
        job = partial(_run_job, Path(folder))
        launch(given.overrides, job, multirun=given.multirun, folder=given.config_dir)
        _raise_failures(Path(folder))


def _run_job(failures: Path, config: dict[str, Any], label: Label) -> None:
    """Run one job, in whatever process; its error is left in the folder where that is in reach, else raised."""
    from harness.sweep.console import Console
    from harness.sweep.job import Job  # needs torch, which --cfg does not
    from harness.sweep.run import run_job

    try:
        run_job(Job.of(config), Console())
    except (InputError, RunError) as error:
        if not failures.is_dir():  # another machine
            raise
        failure = {"input": isinstance(error, InputError), "sentence": str(error), "overrides": label.overrides}
        (failures / f"{label.number:06d}.json").write_text(json.dumps(failure), encoding="utf-8")


def _raise_failures(folder: Path) -> None:
    """Raise what jobs left: InputError if other input would have helped every one of them, else RunError."""
    failed = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    if not failed:
        return
    kind = InputError if all(one["input"] for one in failed) else RunError
    if len(failed) == 1:
        raise kind(failed[0]["sentence"])
    raise kind(f"{len(failed)} jobs failed: " + "; ".join(f"[{one['overrides']}] {one['sentence']}" for one in failed))
