"""The configuration of one job, checked and frozen. Plain data in, dataclasses out: no file here knows Hydra."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from harness.data.sources import DataSpec
from harness.errors import InputError
from harness.kernels.accelerate import Kernel
from harness.models.spec import ModelSpec
from harness.plan import check_grid


@dataclass(frozen=True)
class TaskSpec:
    """A task: one of the paper's by `yaml` name with construction `arguments`, or one that lm-eval ships by `name`.

    `overrides` replaces keys of a shipped task's YAML, such as dataset_path.
    """

    name: str
    yaml: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class EngineSpec:
    """How batches are cut and attention is computed.

    Tokens count prompts and decoded tokens of all cells, padding included. `kernel` is auto, torch or triton.
    """

    batch_tokens: int = 24576
    prefill_tokens: int = 2048
    batch_size: int | None = None
    kernel: Kernel = "auto"

    def __post_init__(self) -> None:
        if self.kernel not in get_args(Kernel):
            raise InputError(f"engine.kernel={self.kernel} is unknown: choose from {', '.join(get_args(Kernel))}")
        for name in ("batch_tokens", "prefill_tokens", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"engine.{name}={value} must be at least 1")


@dataclass(frozen=True)
class Job:
    """One model on one task under a grid of methods and ratios."""

    model: ModelSpec
    task: TaskSpec
    data: DataSpec
    methods: tuple[str, ...]
    ratios: tuple[float, ...]
    knobs: Mapping[str, Mapping[str, Any]]
    limit: int | None
    results: Path
    engine: EngineSpec = field(default_factory=EngineSpec)
    seed: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Job:
        """From the composed configuration. Raises InputError for anything that cannot be meant."""
        limit = config["limit"]
        if limit is not None and limit < 1:
            raise InputError(f"limit={limit} leaves no example: use limit=1 or more, or limit=null for all")
        job = cls(
            model=ModelSpec.of(config["model"]),
            task=_build(TaskSpec, config["task"], "task"),
            data=_build(DataSpec, config["data"], "data"),
            methods=tuple(config["methods"]),
            ratios=tuple(config["ratios"]),
            knobs=config["method"],
            limit=limit,
            results=Path(config["results"]),
            engine=_build(EngineSpec, config["engine"], "engine"),
            seed=config["seed"],
        )
        check_grid(job.methods, job.knobs, job.ratios)
        return job


def _build(cls: Any, settings: Mapping[str, Any], where: str) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    for key in settings:
        if key not in known:
            raise InputError(f"unknown key {where}.{key}: choose from {', '.join(sorted(known))}")
    return cls(**settings)
