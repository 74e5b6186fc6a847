"""Names figures: one YAML per figure of the paper says what makes its data and what draws it.

Keys: `figure` (a file of ../figures/), `experiment` (a file of conf/experiment/) with `models` and `tasks`, or
`benchmark` (arguments of `harness bench`). The comment on top says what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """Describes how one figure is made, from the run to the drawing."""

    name: str
    about: str
    figure: str
    experiment: str | None = None
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    benchmark: str | None = None

    @property
    def source(self) -> str:
        """Name the folder below results/ with its data: one per experiment, lest a grid overwrite another's tables."""
        return self.experiment or "bench"


def names() -> list[str]:
    """List every recipe, in alphabetical order."""
    return sorted(file.stem for file in HERE.glob("*.yaml"))


def find(name: str) -> Recipe:
    """Read a recipe by name. Raises InputError for an unknown one."""
    if name not in names():
        raise InputError(f"unknown figure '{name}': choose from {', '.join(names())}")
    text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
    given: dict[str, Any] = yaml.safe_load(text)
    models, tasks = tuple(given.pop("models", ())), tuple(given.pop("tasks", ()))
    return Recipe(name, text.splitlines()[0].removeprefix("# "), models=models, tasks=tasks, **given)


def sweeps(recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Return the arguments of the sweep that makes the data of each experiment: all its models on all its tasks."""
    found = {}
    for experiment in dict.fromkeys(recipe.experiment for recipe in recipes if recipe.experiment):
        mine = [recipe for recipe in recipes if recipe.experiment == experiment]
        models = ",".join(dict.fromkeys(model for recipe in mine for model in recipe.models))
        tasks = ",".join(dict.fromkeys(task for recipe in mine for task in recipe.tasks))
        found[experiment] = [f"experiment={experiment}", "data=hub", f"model={models}", f"task={tasks}"]
    return found


def commands(recipes: Sequence[Recipe], results: Path) -> list[str]:
    """List the command lines that make all data, each experiment once, and then draw every figure."""
    lines = []
    for experiment, arguments in sweeps(recipes).items():
        folder = results / experiment
        lines.append(f"harness run -m {' '.join(arguments)} results={folder}")
        lines.append(f"harness report {folder} --against published")
    for benchmark in dict.fromkeys(recipe.benchmark for recipe in recipes if recipe.benchmark):
        lines.append(f"harness bench {benchmark} --out {_csv(benchmark, results)}")
    return lines + [_drawing(recipe, results) for recipe in recipes]


def _csv(benchmark: str, results: Path) -> Path:
    return results / "bench" / f"{benchmark.split(maxsplit=1)[0]}.csv"


def _drawing(recipe: Recipe, results: Path) -> str:
    line = f"harness figures {recipe.name} --out {results / 'figures'}"
    if recipe.benchmark:
        return f"{line} --bench {_csv(recipe.benchmark, results)}"
    return f"{line} --results {results / recipe.source} --against published"
