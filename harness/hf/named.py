"""The models that have a file in conf/model/, for whoever asks by name without Hydra."""

from __future__ import annotations

from typing import Any

import yaml

from harness.errors import InputError
from harness.hf.spec import ModelSpec
from harness.paths import asset


def names() -> list[str]:
    """Every file of conf/model/."""
    return sorted(file.stem for file in (asset("conf") / "model").glob("*.yaml"))


def named(name: str, **settings: Any) -> ModelSpec:
    """The model of conf/model/NAME.yaml, some of its keys replaced. Raises InputError for an unknown name or key."""
    if name not in names():
        raise InputError(f"unknown model '{name}': choose from {', '.join(names())}")
    told = yaml.safe_load((asset("conf") / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
    told.pop("defaults", None)  # the base of all, whose values are ModelSpec's own
    return ModelSpec.of({**told, **settings})
