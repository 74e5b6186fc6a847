"""Turns the plain data of a composed configuration into the frozen, checked description of one job."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness import methods
from harness.data.sources import DataSpec
from harness.errors import InputError
from harness.hf.spec import ModelSpec
from harness.kernels import Kernel
from harness.store.shard import WHOLE, Shard
from harness.sweep.plan import check_grid
from harness.sweep.typed import build, typed


@dataclass(frozen=True)
class TaskSpec:
    """Names a task: one of the paper's by `yaml` with construction `arguments`, or one that lm-eval ships by `name`.

    `overrides` replaces keys of a shipped task's YAML, such as dataset_path.
    """

    name: str
    yaml: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the arguments that are set; null leaves one to the task's own default."""
        return {name: value for name, value in self.arguments.items() if value is not None}


@dataclass(frozen=True)
class EngineSpec:
    """Says how batches are cut and attention is computed.

    Tokens count prompts and decoded tokens of all cells, padding included; those of a batch are as many as memory holds
    if "auto". `kernel` is auto, torch or triton.
    """

    batch_tokens: int | Literal["auto"] = "auto"
    prefill_tokens: int = 2048
    batch_size: int | None = None
    kernel: Kernel = "auto"

    def __post_init__(self) -> None:
        for name, instead in (("batch_tokens", "auto"), ("prefill_tokens", None), ("batch_size", "null")):
            value = getattr(self, name)
            if value not in (None, "auto") and value < 1:
                raise InputError(f"engine.{name}={value} must be at least 1{f', or {instead}' if instead else ''}")


@dataclass(frozen=True)
class Job:
    """Describes one model on one task under a grid of methods and ratios, or a shard of it."""

    model: ModelSpec
    task: TaskSpec
    data: DataSpec
    methods: tuple[str, ...]
    ratios: tuple[float, ...]
    knobs: Mapping[str, Mapping[str, Any]]
    limit: int | None
    results: Path
    engine: EngineSpec = field(default_factory=EngineSpec)
    shard: Shard = WHOLE

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Job:
        """Read a job from the composed configuration. Raises InputError for anything that cannot be meant."""
        limit = typed("limit", config["limit"], int | None)
        if limit is not None and limit < 1:
            raise InputError(f"limit={limit} leaves no example: use limit=1 or more, or limit=null for all")
        job = cls(
            model=build(ModelSpec, config["model"], "model"),
            task=build(TaskSpec, config["task"], "task"),
            data=build(DataSpec, config["data"], "data"),
            methods=tuple(typed("methods", config["methods"], list[str])),
            ratios=tuple(typed("ratios", config["ratios"], list[float])),
            knobs=_knobs(config["method"]),
            limit=limit,
            results=Path(typed("results", config["results"], str)),
            engine=build(EngineSpec, config["engine"], "engine"),
            shard=_shard(config),
        )
        check_grid(job.methods, job.knobs, job.ratios)
        return job


def _shard(config: Mapping[str, Any]) -> Shard:
    """Read which share of the work is asked for; without shard= one process does the work of all shards."""
    shards, shard = typed("shards", config["shards"], int), typed("shard", config["shard"], int | None)
    if shard is None and shards >= 1:
        return WHOLE
    return Shard(shard or 0, shards)


def _knobs(settings: Any) -> Mapping[str, Mapping[str, Any]]:
    """Check values, or lists of values, by the types that the methods declare; null leaves a knob to the solver."""
    given: Mapping[str, Mapping[str, Any]] = typed("method", settings, Mapping[str, Any])
    for name in given:
        knobs = typed(f"method.{name}", given[name], Mapping[str, Any])
        methods.check_knobs(name, dict(knobs))
        method = methods.find(name)
        kinds = typing.get_type_hints(method)
        for knob, values in knobs.items():
            for value in values if isinstance(values, list) else [values]:
                typed(f"method.{name}.{knob}", value, kinds[knob] | None)
                _check_least(f"method.{name}.{knob}", value, methods.least(method, knob))
    return given


def _check_least(name: str, value: Any, least: int | None) -> None:
    """Raise InputError for a knob below the least that its method can run with."""
    if least is not None and value is not None and not value >= least:
        raise InputError(f"{name}={value} must be at least {least}, or null to solve it for a ratio")
