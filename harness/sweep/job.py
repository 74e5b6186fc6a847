"""Turns the plain data of a composed configuration into the frozen, checked description of one job."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from harness import methods
from harness.data.sources import DataSpec
from harness.errors import InputError
from harness.hf.spec import ModelSpec
from harness.kernels import Kernel
from harness.methods.cell import Per
from harness.store.shard import WHOLE, Shard
from harness.sweep.plan import check_grid
from harness.sweep.task_spec import TaskSpec
from harness.sweep.typed import build, check_known, typed


@dataclass(frozen=True)
class BudgetSpec:
    """Says where knobs are solved for a ratio: per "task", at its mean prompt length, or "example", each at its own."""

    per: Per = "task"


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


SECTIONS: Mapping[str, Any] = {
    "model": ModelSpec,
    "task": TaskSpec,
    "data": DataSpec,
    "budget": BudgetSpec,
    "engine": EngineSpec,
}
KNOBS_OF_ALL = ("dense_layers", "layers", "seed")
"""Keys at the top that the knobs of all methods are taken from, unless they are set themselves."""
KEYS = (
    *(*SECTIONS, *KNOBS_OF_ALL),
    *("methods", "method", "ratios", "memory_ratios", "divergence", "limit", "repeats", "results", "shards", "shard"),
)
"""What a configuration holds at its top."""


@dataclass(frozen=True)
class Job:
    """Describes one model on one task under a grid of methods and ratios, or a shard of it.

    With `divergence` every cell is compared with dense once more, along dense's own tokens.
    """

    model: ModelSpec
    task: TaskSpec
    data: DataSpec
    methods: tuple[str, ...]
    ratios: tuple[float, ...]
    knobs: Mapping[str, Mapping[str, Any]]
    limit: int | float | None
    results: Path
    repeats: int = 1
    seed: int = 0
    budget: BudgetSpec = field(default_factory=BudgetSpec)
    engine: EngineSpec = field(default_factory=EngineSpec)
    shard: Shard = WHOLE
    memory_ratios: tuple[float, ...] = ()
    divergence: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Job:
        """Read a job from the composed configuration. Raises InputError for anything that cannot be meant."""
        _check_keys(config)
        job = cls(
            **{section: build(kind, config[section], section) for section, kind in SECTIONS.items()},
            methods=_methods(config["methods"]),
            ratios=tuple(typed("ratios", config["ratios"], list[float])),
            knobs=_knobs(config["method"], {key: config[key] for key in KNOBS_OF_ALL}),
            limit=_limit(config["limit"]),
            repeats=_repeats(config["repeats"]),
            seed=typed("seed", config["seed"], int),
            results=Path(typed("results", config["results"], str)),
            shard=_shard(config),
            memory_ratios=tuple(typed("memory_ratios", config["memory_ratios"], list[float])),
            divergence=typed("divergence", config["divergence"], bool),
        )
        check_grid(job.methods, job.knobs, [*job.ratios, *job.memory_ratios])
        return job


def _methods(given: Any) -> tuple[str, ...]:
    """Read which methods are asked for: a list of names, or all that can be run."""
    named: list[str] | str = typed("methods", given, list[str] | Literal["all"])
    return tuple(methods.runnable() if isinstance(named, str) else named)


def _limit(given: Any) -> int | float | None:
    """Read how many examples of a task are asked for: a number of them, or a share below 1, as lm-eval has it."""
    limit: int | float | None = typed("limit", given, float | None)
    if limit is None or (isinstance(limit, int) and limit >= 1) or (isinstance(limit, float) and 0 < limit < 1):
        return limit
    raise InputError(
        f"limit={limit} is no number of examples: use limit=1 or more, a share such as limit=0.1, or limit=null for all"
    )


def _repeats(given: Any) -> int:
    """Read how often each question is answered, where tokens are drawn."""
    repeats: int = typed("repeats", given, int)
    if repeats < 1:
        raise InputError(f"repeats={repeats} answers nothing: use repeats=1 or more")
    return repeats


def _check_keys(config: Mapping[str, Any]) -> None:
    """Raise InputError for a key at the top that nothing reads, and for one that is missing."""
    for key in config:
        owners = [f"{section}.{key}" for section, kind in SECTIONS.items() if key in {f.name for f in fields(kind)}]
        check_known([key], KEYS, hint=f"{' or '.join(owners)} is meant, perhaps" if owners else "")
    for key in KEYS:
        if key not in config:
            raise InputError(f"the configuration has no key {key}: see `harness run --cfg job`")


def _shard(config: Mapping[str, Any]) -> Shard:
    """Read which share of the work is asked for; without shard= one process does the work of all shards."""
    shards, shard = typed("shards", config["shards"], int), typed("shard", config["shard"], int | None)
    if shard is None and shards >= 1:
        return WHOLE
    return Shard(shard or 0, shards)


def _knobs(settings: Any, of_all: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Check values, or lists of values, by the types that the methods declare; null leaves a knob to the solver.

    What was set `of_all` is named so.
    """
    given: Mapping[str, Mapping[str, Any]] = typed("method", settings, Mapping[str, Any])
    for name in given:
        knobs = typed(f"method.{name}", given[name], Mapping[str, Any])
        methods.check_knobs(name, dict(knobs))
        method = methods.find(name)
        kinds = typing.get_type_hints(method)
        for knob, values in knobs.items():
            key = knob if values is not None and repr(of_all.get(knob)) == repr(values) else f"method.{name}.{knob}"
            for value in values if isinstance(values, list) else [values]:
                typed(key, value, kinds[knob] | None)
                _check_value(key, value, method, knob)
    return given


def _check_value(name: str, value: Any, method: Any, knob: str) -> None:
    """Raise InputError for a value that a knob's type does not admit; null is left to the solver or to the default."""
    least = methods.least(method, knob)
    if least is not None and isinstance(value, int | float) and not value >= least:  # a word may stand for a number
        null = "to solve it for a ratio" if methods.knobs(method)[knob] is MISSING else "for its default"
        raise InputError(f"{name}={value} must be at least {least}, or null {null}")
    wanted = "" if value is None else methods.wanted(method, knob, value)
    if wanted:
        raise InputError(f"{name}={value!r} must be {wanted}")
