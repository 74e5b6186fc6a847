"""Describes what a measurement ran on, and measures the bandwidth that it can be held against."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import version

import torch

from harness.bench.columns import Machine
from harness.bench.timing import time_calls
from harness.store import provenance


def describe(device: torch.device, commit: str | None = None) -> Machine:
    """Describe device, versions and commit; `commit` where there is no git to ask."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    triton = version("triton") if importlib.util.find_spec("triton") else "none"
    return Machine(device=name, torch=torch.__version__, triton=triton, commit=commit or provenance.commit())


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
