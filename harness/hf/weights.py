"""Loads a checkpoint's weights, and checks that they are those of the model its configuration describes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from harness.errors import InputError, first_line
from harness.hf.located import Located
from harness.hf.retry import broken_download
from harness.hf.spec import ModelSpec
from harness.hf.vetting.weights import Held, held, held_in_file


def pretrained(spec: ModelSpec, path: str, config: Any, device: str) -> Any:
    """Load a model from a folder or the hub onto a device, or where the specification's device_map places its layers.

    Raises InputError for weights that cannot be read and for those of another model.
    """
    placement: dict[str, Any] = {"device_map": spec.device_map} if spec.device_map else {}
    placement |= {"use_safetensors": None if spec.allow_pickle or spec.gguf_file else True}
    placement |= {"output_loading_info": True, "ignore_mismatched_sizes": True}  # said below, in one sentence
    try:
        given = {"config": config, "dtype": getattr(torch, spec.dtype), **placement, **source(spec)}
        model, report = AutoModelForCausalLM.from_pretrained(path, **given)
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each format has errors of its own
        if broken_download(error):
            raise
        raise InputError(f"model '{spec.name}': its weights cannot be read: {first_line(error)}") from None
    check_weights_fit(spec.name, model.state_dict(), report)
    placed = spec.device_map or getattr(model, "is_quantized", False)  # quantised weights are where they run
    return model if placed else model.to(device)


def source(spec: ModelSpec) -> dict[str, Any]:
    """Return what transformers is told of where a checkpoint lies, beside its path."""
    optional = {"gguf_file": spec.gguf_file, "revision": spec.revision}
    return {k: v for k, v in optional.items() if v is not None} | {"trust_remote_code": spec.trust_remote_code}


def held_by(spec: ModelSpec, path: str, config: Any) -> Held | None:
    """Read from their headers what a checkpoint's weights hold at most; None if there are none.

    Those on the hub are brought into its cache. Raises InputError for files that cannot be read.
    """
    files = Located(path, spec.revision)
    try:
        if spec.gguf_file is not None:
            found = files.find(spec.gguf_file)
            return None if found is None else held_in_file(found)
        return held(spec.name, files, spec.allow_pickle, getattr(config, "transformers_weights", None))
    except OSError as error:
        if broken_download(error):
            raise
        raise InputError(f"model '{spec.name}': its weights cannot be read: {first_line(error)}") from None


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


def _without_numbers(key: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", key)
