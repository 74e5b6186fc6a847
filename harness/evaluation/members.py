"""Asks the same of every member of a loaded task, group or tag: shots, generation, and that it can be answered."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.task import ConfigurableTask

from harness.errors import InputError


def check_runnable(tasks: Mapping[str, Any], confirmed: bool) -> None:
    """Raise InputError for tasks that no language model can answer, or whose scoring runs what the model wrote."""
    for name, task in tasks.items():
        if getattr(task, "MULTIMODAL", False):
            raise InputError(f"task {name} shows images or sounds, and only text is decoded here")
        if getattr(task, "UNSAFE_CODE", False) and not confirmed:
            raise InputError(f"task {name} runs code of the model: task.confirm_run_unsafe_code=true allows it")


def check_overridden(tasks: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raise InputError for a task written in Python that has not taken an override: most take none."""
    for name, task in tasks.items():
        for key, value in overrides.items() if type(task) is not ConfigurableTask else ():
            if task.get_config(key) != value:
                raise InputError(f"task {name} is written in Python and does not follow task.overrides.{key}")


def set_shots(tasks: Mapping[str, Any], shots: int | None) -> list[str]:
    """Set the number of shots as lm-eval does: a task whose YAML says 0 keeps it, one that says nothing has 0.

    Returns a sentence on the members that keep 0. Raises InputError if all do.
    """
    fixed = [name for name, task in tasks.items() if task.get_config("num_fewshot") == 0]
    for name, task in tasks.items():
        if name not in fixed:
            own = task.get_config("num_fewshot") or 0
            task.set_config(key="num_fewshot", value=own if shots is None else shots)
    if not shots or not fixed:
        return []
    said = f"task.num_fewshot={shots} is not followed by {_listed(fixed)}, whose YAML fixes num_fewshot: 0"
    if len(fixed) == len(tasks):
        raise InputError(f"{said}: task.overrides={{num_fewshot: {shots}}} replaces it")
    return [said]


def set_generation(tasks: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Lay settings over the generation_kwargs of every task that generates. Raises InputError if none does."""
    generating = [task for task in tasks.values() if task.get_config("output_type") == "generate_until"]
    if settings and not generating:
        raise InputError(f"task.gen_kwargs: {_listed(list(tasks))} generates no text")
    for task in generating if settings else []:
        task.set_config(key="generation_kwargs", value=copy.deepcopy(dict(settings)), update=True)


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
