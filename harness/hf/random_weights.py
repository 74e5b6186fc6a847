"""Makes a model with random weights that do not depend on where its layers lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from harness.errors import InputError
from harness.hf.placement import OFFLOADED, find_devices

SPREAD = 0.02
"""Standard deviation of weights where a configuration names none, as in transformers."""


def random_model(name: str, config: Any, dtype: torch.dtype, device: str, device_map: str | None) -> Any:
    """Make a model on a device, or layer by layer where a `device_map` puts them; no other device holds them before.

    Raises InputError if the GPUs do not hold it.
    """
    model = _placed(config, dtype, device_map or device)
    if OFFLOADED in find_devices(model):
        raise InputError(f"model '{name}': random weights do not fit these GPUs: `harness plan` says how many do")
    draw_weights(model)
    return model


@torch.no_grad()
def draw_weights(model: Any) -> None:
    """Draw every matrix anew, each with a seed of its own: its place among the parameters.

    A GPU's numbers differ from a CPU's, those of two alike GPUs do not.
    """
    spread = getattr(model.config.get_text_config(), "initializer_range", None) or SPREAD
    for seed, weight in enumerate(model.parameters()):
        if weight.dim() > 1:
            weight.normal_(0, spread, generator=torch.Generator(weight.device).manual_seed(seed))


def _placed(config: Any, dtype: torch.dtype, device_map: str) -> Any:
    """Let transformers place a checkpoint without weights: each that is missing is made where its layer lies.

    One way for all placements: what is computed from the configuration is computed on the host, to the same bits.
    """
    with torch.device("meta"):
        kind = type(AutoModelForCausalLM.from_config(config, dtype=dtype))
    with _without_report():
        return kind.from_pretrained(None, config=config, state_dict={}, dtype=dtype, device_map=device_map)


@contextmanager
def _without_report() -> Iterator[None]:
    """Leave out the report that every weight is missing."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
