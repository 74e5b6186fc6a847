"""Describes a task as a file of conf/task/ does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.names import check_name

SHIPPED_ONLY = ("overrides", "num_fewshot", "include_path", "metadata", "gen_kwargs", "confirm_run_unsafe_code")
"""Settings of tasks of lm-eval, which the paper's tasks do not follow."""


@dataclass(frozen=True)
class TaskSpec:
    """Names a task: one of the paper's by `yaml` with construction `arguments`, or one that lm-eval knows by `name`.

    For a task, group or tag of lm-eval's, the keys mean what its command line means by them: `overrides` replaces keys
    of the YAML of every member, such as dataset_path; `include_path` is a folder with more YAMLs; `metadata` goes to
    tasks that make their own data; `gen_kwargs` is laid over generation_kwargs. `apply_chat_template` may be the name
    of a template. Raises InputError for a key that the task cannot follow.
    """

    name: str
    yaml: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] | None = None
    num_fewshot: int | None = None
    include_path: str | None = None
    metadata: Mapping[str, Any] | None = None
    gen_kwargs: Mapping[str, Any] | None = None
    apply_chat_template: bool | str = False
    system_instruction: str | None = None
    fewshot_as_multiturn: bool | None = None
    confirm_run_unsafe_code: bool = False

    def __post_init__(self) -> None:
        check_name("task.name", self.label)
        if self.num_fewshot is not None and self.num_fewshot < 0:
            raise InputError(f"task.num_fewshot={self.num_fewshot} must be at least 0, or null for the task's own")
        if self.fewshot_as_multiturn and not self.apply_chat_template:
            raise InputError("task.fewshot_as_multiturn=true wants turns of a chat: set task.apply_chat_template=true")
        if self.yaml is None and self.given:
            raise InputError("task.arguments are for the paper's tasks: use task.overrides or task.metadata")
        for key in SHIPPED_ONLY if self.yaml else ():
            if key in self.settings:
                raise InputError(f"task.{key} is for tasks of lm-eval (task=lm_eval task.name=NAME), not {self.name}")

    @property
    def label(self) -> str:
        """Return the name; of a YAML's path the last part."""
        return Path(self.name).stem if self.name.endswith((".yaml", ".yml")) else self.name

    @property
    def own_code(self) -> str | None:
        """Say in a sentence whose code the task may run; None for tasks of this project and of lm-eval."""
        where = self.include_path or (self.name if self.label != self.name else None)
        return where and f"a task of {where} runs Python that its YAML names with !function: trust it as a program"

    @property
    def given(self) -> dict[str, Any]:
        """Return the arguments that are set; null leaves one to the task's own default."""
        return {name: value for name, value in self.arguments.items() if value is not None}

    @property
    def settings(self) -> dict[str, Any]:
        """Return what is asked of the task beside its name and arguments: other settings ask another question."""
        told = (f for f in fields(self) if f.name not in ("name", "yaml", "arguments"))
        return {f.name: getattr(self, f.name) for f in told if getattr(self, f.name) != f.default}
