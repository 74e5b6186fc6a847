"""Checks that a checkpoint's weights are those of the model its configuration describes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from harness.errors import InputError


def check_weights_fit(name: str, own: Collection[str], report: Mapping[str, Any]) -> None:
    """Raise InputError for weights that transformers had to make up, and for layers of which the model has no place.

    `own` are the names of the model's parameters, `report` is what from_pretrained reports of its loading. Other
    weights that find no place, such as those of an image tower, are none of this model's.
    """
    numbered = {_without_numbers(key) for key in own}
    found = {
        "are not in its files": sorted(report["missing_keys"]),
        "have another shape": sorted(str(key) for key, *_ in report["mismatched_keys"]),
        "find no layer": sorted(key for key in report["unexpected_keys"] if _without_numbers(key) in numbered),
    }
    for what, keys in found.items():
        if keys:
            raise InputError(f"model '{name}': {len(keys)} weights {what}, such as {keys[0]}: its configuration lies")


def check_one_gpu(name: str, placement: Mapping[str, Any]) -> None:
    """Raise InputError for layers on several GPUs, by module; those that wait on the host or on disk are no trouble."""
    used = sorted({str(place).removeprefix("cuda:") for place in placement.values()} - {"cpu", "disk"})
    if len(used) > 1:
        raise InputError(
            f"model '{name}': model.device_map put it on {len(used)} GPUs, a batch decodes on one: choose "
            f"model.device_map=null model.device=cuda:{used[0]}, or show it one GPU (CUDA_VISIBLE_DEVICES)"
        )


def _without_numbers(key: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", key)
