"""What the files of conf/experiment/ make of a model and a task: settings, examples, tokens. Nothing is run for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.errors import InputError
from harness.paths import asset
from harness.report.against.published import published
from harness.report.names import DENSE

NEW_TOKENS = {"squad": 30, "triviaqa": 30, "cnn_dailymail": 128, "wikitext": 120, "repetition": 128, "needle": 20}
"""Upper bounds of decoded tokens per example: the tasks' limits; about 400 characters for WikiText."""
DEPTHS = 17
"""Examples of a needle task."""
BESIDE = 96
"""Tokens by which a needle prompt is shorter than its length: 128, less those of the question."""


@dataclass(frozen=True)
class Setting:
    """A method with its knobs, or with the compression ratio that they are to be solved for."""

    method: str
    knobs: Mapping[str, Any]
    ratio: float | None = None


@dataclass(frozen=True)
class Load:
    """Examples of a task, and tokens of each: of the prompt on average, and decoded at most."""

    task: str
    examples: int
    prompt: float
    new: int


def settings(experiment: str) -> list[Setting]:
    """One for each cell: a list of values makes a cell of each; methods without knobs here get one for each ratio."""
    config = _read(experiment)
    knobs = config.get("method", {})
    return [setting for method in config["methods"] for setting in _of_method(method, knobs.get(method), config)]


def loads(experiment: str, model: str, task: str) -> list[Load]:
    """The published size of a task for a model; of needles one for each context length."""
    if task == "needle":
        lengths = str(_read(experiment)["hydra"]["sweeper"]["params"]["task.arguments.length"]).split(",")
        return [Load(f"needle_{n}", DEPTHS, int(n) - BESIDE, NEW_TOKENS[task]) for n in lengths]
    points = published()
    point = points[(points["model"] == model) & (points["task"] == task)].iloc[0]
    return [Load(task, int(point["n"]), float(point["mean_prompt_tokens"]), NEW_TOKENS[task])]


def _read(experiment: str) -> dict[str, Any]:
    file = asset("conf") / "experiment" / f"{experiment}.yaml"
    if not file.exists():
        raise InputError(f"no experiment '{experiment}' in conf/experiment/")
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def _of_method(method: str, knobs: Mapping[str, Any] | None, config: Mapping[str, Any]) -> list[Setting]:
    if knobs is not None or method == DENSE:
        return [Setting(method, told) for told in _combinations(knobs or {})]
    return [Setting(method, {}, ratio) for ratio in config["ratios"]]


def _combinations(knobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [value if isinstance(value, list) else [value] for value in knobs.values()]
    return (dict(zip(knobs, values, strict=True)) for values in itertools.product(*listed))
