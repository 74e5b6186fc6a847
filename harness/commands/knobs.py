"""A method's knobs as conf/method/ has them, for whoever runs without Hydra."""

from __future__ import annotations

import re
from typing import Any

import yaml

from harness.hf import ModelSpec
from harness.paths import asset

OF_THE_MODEL = re.compile(r"\$\{model\.(\w+)\}")


def usual_knobs(method: str, spec: ModelSpec) -> dict[str, Any]:
    """Values of conf/method/METHOD.yaml, those that name a key of the model taken from it.

    What is null, or named after another part of the configuration, is left to the method's own default.
    """
    file = asset("conf") / "method" / f"{method}.yaml"
    told = (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}
    found = {knob: _value(value, spec) for knob, value in told.items()}
    return {knob: value for knob, value in found.items() if value is not None}


def _value(value: Any, spec: ModelSpec) -> Any:
    named = OF_THE_MODEL.fullmatch(str(value))
    if named:
        return getattr(spec, named[1])
    return None if str(value).startswith("${") else value
