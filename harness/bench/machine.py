"""Describes what a measurement ran on, and measures the bandwidth that it can be held against."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from harness.bench.row import Machine
from harness.bench.timing import time_calls
from harness.errors import InputError


def device_of(name: str) -> torch.device:
    """The device called cuda or cpu; auto is CUDA where there is one. Raises InputError."""
    there = torch.cuda.is_available()
    if name not in {"auto", "cuda", "cpu"} or (name == "cuda" and not there):
        has = "has a CUDA device" if there else "has no CUDA device"
        raise InputError(f"device is auto, cuda or cpu, and this machine {has}; it cannot be '{name}'")
    return torch.device(("cuda" if there else "cpu") if name == "auto" else name)


def describe(device: torch.device, commit: str | None = None) -> Machine:
    """Describe device, versions and commit; `commit` where there is no git to ask."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    triton = version("triton") if importlib.util.find_spec("triton") else "none"
    return Machine(device=name, torch=torch.__version__, triton=triton, commit=commit or _commit())


def copy_bandwidth(device: torch.device, size: int | None = None) -> float:
    """Measure the bytes per second, read plus written, of a copy of `size` bytes (4 GiB on a GPU, 256 MiB elsewhere).

    A kernel copies (and flips the sign): a plain copy becomes a memcpy node in a CUDA graph, which ran at two thirds.
    """
    size = size or (2**32 if device.type == "cuda" else 2**28)
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / (time_calls([lambda: torch.neg(source, out=target)], device, 10).median * 1e-6)


def cache_size(device: torch.device) -> int:
    """Return the bytes of the last-level cache; 64 MiB where it is not known."""
    return torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 2**26


def _commit() -> str:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
