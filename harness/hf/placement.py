"""Says where the layers of a model lie, and what follows from that; accelerate is what places them on several GPUs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch

from harness.errors import InputError

OFFLOADED = torch.device("meta")
"""The device of weights that wait on the host or on disk until their layer runs."""


def check_placing(name: str, device_map: str | None) -> None:
    """Raise InputError if layers are to be placed and accelerate, which does it, is not installed."""
    if device_map and importlib.util.find_spec("accelerate") is None:
        raise InputError(
            f"model '{name}': model.device_map={device_map} needs a package that places layers: pip install accelerate"
        )


def find_devices(model: Any) -> tuple[torch.device, ...]:
    """Return the devices that hold weights, in the model's order; OFFLOADED among them where some wait elsewhere."""
    return tuple(dict.fromkeys(weight.device for weight in model.parameters()))


def layer_devices(model: Any) -> tuple[torch.device, ...]:
    """Return the device of each attention layer, in order; OFFLOADED for one whose weights wait elsewhere."""
    found = {
        module.layer_idx: next(module.parameters()).device
        for module in model.modules()
        if hasattr(module, "layer_idx") and next(module.parameters(), None) is not None
    }
    return tuple(found[layer] for layer in range(model.config.get_text_config().num_hidden_layers))


def unrecorded(devices: Sequence[torch.device]) -> str | None:
    """Say in a sentence why decode steps of a model on these devices are not recorded; None if they can be.

    A CUDA graph is of one GPU. Launched step by step, the numbers are the same.
    """
    gpus = [str(device) for device in devices if device.type == "cuda"]
    if len(devices) == 1 or not gpus:
        return None
    waiting = ", and weights wait on the host" if OFFLOADED in devices else ""
    return f"decoding without a CUDA graph, which is slower: layers lie on {', '.join(gpus)}{waiting}"
