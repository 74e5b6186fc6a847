"""Which GPU kernels and CUDA graphs go to: both take the current one, wherever their tensors lie."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch


def current(device: torch.device) -> AbstractContextManager[object]:
    """A context in which a GPU is the current one; for other devices it does nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
