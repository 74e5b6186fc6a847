"""Finds tasks by name: the project's own, and single tasks, groups and tags that lm-eval knows."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval.tasks import TaskManager
from lm_eval.tasks._factory import TaskFactory
from lm_eval.tasks._index import Entry, Kind, TaskIndex

from harness.errors import InputError
from harness.evaluation.members import check_overridden, check_runnable, set_generation, set_shots
from harness.evaluation.wording import worded

SINGLE = (Kind.TASK, Kind.PY_TASK)
NAMES = ("task", "group", "tag")
"""Keys of a YAML that say what it is, and that no override may change."""

LENT = {"source", "count", "positions"}
"""Arguments that the construction of every task of the project is called with, and may leave unread."""


@dataclass(frozen=True)
class Shipped:
    """Asks for a task, group or tag of lm-eval by name, or for a YAML by its path.

    `overrides` are laid over the YAML of every member, over what its group says of it too. The others mean what the
    options of these names mean on lm-eval's command line.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    include_path: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    num_fewshot: int | None = None
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    confirm_run_unsafe_code: bool = False


class Loaded(NamedTuple):
    """Holds tasks by name, the groups that they are members of by name, and sentences on what was not followed."""

    tasks: dict[str, Any]
    groups: dict[str, Any]
    notes: list[str]


def load_paper_task(name: str, folder: Path, arguments: Mapping[str, Any]) -> Any:
    """Load a task of the project's own YAML folder, whose construction is called with `arguments`.

    Raises InputError for an argument that it does not have, those apart that are lent to every task.
    """
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    member = {"task": name, "dataset_kwargs": dict(arguments)}
    task = manager.load({"group": "harness", "task": [member]})["tasks"][name]
    parameters = inspect.signature(task.config.custom_dataset).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - LENT
    for argument in arguments.keys() - LENT - known:
        raise InputError(f"task {name} has no argument '{argument}': it has {', '.join(sorted(known))}")
    return task


def most_new_tokens(name: str, folder: Path) -> int | None:
    """Return how many tokens a task of the project's own YAML folder decodes at most; None if it scores given texts."""
    config = TaskManager(include_path=str(folder), include_defaults=False).task_index[name].cfg or {}
    rule = config["metadata"].get("new_tokens")
    return int(rule["at_most"]) if rule else None


def load_shipped(asked: Shipped) -> Loaded:
    """Load a task of lm-eval, or every member of a group or tag.

    Raises InputError for an unknown name, for data that cannot be reached and for settings that no member can follow.
    """
    for key in NAMES:
        if key in asked.overrides:
            raise InputError(f"task.overrides.{key}: a member keeps its name; write a YAML and give task.include_path")
    manager = _manager(asked)
    entry = _entry(manager, asked.name)
    factory = _LayingOver(dict(asked.metadata), asked.overrides)
    with worded(asked.name):
        built = factory.build(entry, overrides=dict(asked.overrides), registry=manager.task_index)
        loaded = manager.load(built if isinstance(built, list) else [built])
    tasks = dict(loaded["tasks"])
    check_overridden(tasks, asked.overrides)
    check_runnable(tasks, asked.confirm_run_unsafe_code)
    set_generation(tasks, asked.gen_kwargs)
    return Loaded(tasks, dict(loaded.get("groups", {})), set_shots(tasks, asked.num_fewshot))


class _LayingOver(TaskFactory):  # type: ignore[misc]
    """Builds tasks with overrides that also replace what a group's YAML says of a member, which lm-eval prefers."""

    def __init__(self, metadata: dict[str, Any], overrides: Mapping[str, Any]) -> None:
        super().__init__(meta=metadata)
        self._overrides = dict(overrides)

    def _build_group_members(
        self, member_list: list[Any], group_name: str, overrides: dict[str, Any] | None, registry: dict[str, Entry]
    ) -> list[Any]:
        members = [item if isinstance(item, str) else {**item, **self._overrides} for item in member_list]
        return list(super()._build_group_members(members, group_name, overrides, registry))

    def _load_full_config(self, entry: Entry, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give every member its own copy: lm-eval changes a task's settings in place."""
        return dict(super()._load_full_config(entry, copy.deepcopy(overrides)))


def _manager(asked: Shipped) -> TaskManager:
    """Index own YAMLs alone where all that the name means is there: lm-eval's thousands take seconds."""
    folder, metadata = asked.include_path, dict(asked.metadata)
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"task.include_path={folder} is no folder")
    own = TaskManager(include_path=folder, include_defaults=False, metadata=metadata)
    alone = _is_whole(own.task_index, asked.name) or _by_path(asked.name, SINGLE) is not None
    return own if alone else TaskManager(include_path=folder, metadata=metadata)


def _is_whole(index: Mapping[str, Entry], item: Any) -> bool:
    """Say if a name, or an item of a group's list, stands in an index with all its members."""
    named = {"task": item} if isinstance(item, str) else dict(item)
    entry = index.get(str(named.get("group", named["task"])))
    if entry is not None:
        members = entry.cfg["task"] if entry.kind is Kind.GROUP and entry.cfg else []
    elif "group" in named:
        members = named["task"]
    else:
        return False
    return all(_is_whole(index, member) for member in members)


def _by_path(name: str, kinds: Collection[Kind] = tuple(Kind)) -> Entry | None:
    """Return what the YAML at a path describes; None if there is no such file, or it is of another kind."""
    with worded(name):
        entry = TaskIndex.entry_from_path(Path(name)) if name.endswith((".yaml", ".yml")) else None
    return entry if entry is not None and entry.kind in kinds else None


def _entry(manager: TaskManager, name: str) -> Entry:
    entry = manager.task_index.get(name) or _by_path(name)
    if entry is None:
        near = ", ".join(sorted(t for t in manager.all_tasks if t.startswith(name[:4]))[:5]) or "see `lm-eval ls tasks`"
        raise InputError(f"lm-eval has no task '{name}' (close: {near})")
    return entry
