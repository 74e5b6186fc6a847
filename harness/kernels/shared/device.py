"""Checks what the kernels need of a device and of a model, before a file of device code is imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from harness.errors import InputError

Kernel = Literal["auto", "torch", "triton"]
"""What computes the methods' attention: auto takes the kernels on CUDA, where they can serve."""
LARGEST_HEAD = 256
OLDEST_TRITON = (3, 6)
"""The first version that compiles every kernel for Hopper: 3.4 and 3.5 fail inside their compiler."""
PROCESSORS = 132
"""Multiprocessors of an H200, whose tiles Triton's interpreter uses too."""


def available(device: torch.device | str) -> bool:
    """Return True if the kernels can run on this device."""
    return _obstacle(torch.device(device)) is None


def require(device: torch.device | str) -> None:
    """Raise InputError if the kernels cannot run on this device."""
    obstacle = _obstacle(torch.device(device))
    if obstacle:
        raise InputError(f"kernel=triton cannot be used: {obstacle}; choose kernel=torch")


def is_wanted(kernel: Kernel, device: torch.device) -> bool:
    """Return True if `kernel` asks for Triton on this device. InputError if it is triton where that cannot run."""
    if kernel == "triton":
        require(device)
    return kernel == "triton" or (kernel == "auto" and device.type == "cuda" and available(device))


def fits(head_dim: int, capped: bool) -> bool:
    """Return True if the kernels take a model's attention: its largest head dimension, whether it soft-caps logits."""
    return head_dim <= LARGEST_HEAD and not capped


def check_query(q: Tensor, k: Tensor) -> None:
    """Raise InputError unless q [B, H, G, D] fits the cached k [B, H, C, D]."""
    require(q.device)
    if q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3] or q.dtype != k.dtype:
        raise InputError(f"query {list(q.shape)} {q.dtype} does not fit keys {list(k.shape)} {k.dtype}")
    if q.shape[3] > LARGEST_HEAD:
        raise InputError(f"head dimension {q.shape[3]} is larger than the kernels' {LARGEST_HEAD}; choose kernel=torch")


@lru_cache
def processors(device: torch.device) -> int:
    """Count the multiprocessors of a GPU; any other device is taken for an H200."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else PROCESSORS


@lru_cache
def overlap(device: torch.device) -> dict[str, bool]:
    """Return launch options: on Hopper and newer, a kernel may be set up while the one before still runs."""
    return {"overlap": True, "launch_pdl": True} if _can_overlap(device) else {"overlap": False}


def can_wait(device: torch.device) -> bool:
    """Return True if programs of a launch can wait for each other: a GPU runs many at once, the interpreter one."""
    return device.type == "cuda"


def _can_overlap(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)


def _obstacle(device: torch.device) -> str | None:
    return _found_obstacle(device.type, os.environ.get("TRITON_INTERPRET") == "1")


@lru_cache  # every step asks
def _found_obstacle(kind: str, interpreted: bool) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (pip install triton)"
    if kind != "cuda" and not (kind == "cpu" and interpreted):
        return f"it needs a CUDA device, not '{kind}'"
    if kind == "cuda" and not torch.cuda.is_available():
        return "no CUDA device is available"
    have = importlib.import_module("triton").__version__
    if tuple(int(part) for part in have.split(".")[:2]) < OLDEST_TRITON:
        return f"Triton {have} is older than {'.'.join(map(str, OLDEST_TRITON))}"
    return None
