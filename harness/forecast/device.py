"""Holds the data sheets of the devices that a forecast is made for, and what of a model costs time. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """Holds a data sheet: peak dense 16-bit arithmetic in FLOP/s, memory in bytes and its bandwidth in bytes/s.

    Without `kernels` every method runs in PyTorch.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float
    kernels: bool = True


MEASURED = Device("H200", 989e12, 4.8e12, 141e9)
"""Where most constants were measured. On any other device, latencies stay and the rest scales with the data sheets."""
CPU = Device("CPU-16", 16 * 2.5e9 * 32, 4 * 25.6e9, 64e9, kernels=False)
"""A machine of 16 cores of 2.5 GHz, 32 float32 operations a cycle, and four channels of DDR4-3200."""
DEVICES = (
    Device("A100-80", 312e12, 2.0e12, 80e9),
    Device("H100", 989e12, 3.35e12, 80e9),
    MEASURED,
    Device("L40S", 362e12, 0.864e12, 48e9),
    CPU,
)


SEARCHES = ("groups", "whole", "digits")
"""Ways to find the best of stored scores: a few groups of neighbours first, all in one program, or digit by digit."""


@dataclass(frozen=True)
class ModelSize:
    """Holds what of a model costs time: weights that multiply a token, attention layers, KV heads of a layer.

    `group` counts the query heads of a KV head.
    """

    parameters: float
    layers: int
    kv_heads: float
    bytes_per_element: int = 2
    group: float = 1.0


@dataclass(frozen=True)
class Traffic:
    """Describes what a decode step of one cell moves for one row, over all layers and KV heads, in bytes.

    `choose` is read to choose, `attend` is read to attend or written, `whole` is what dense attention reads. `access`
    is how the method finds what it reads (harness/methods/about.py); without `by_kernel` it runs in PyTorch wherever it
    runs. `scored` counts the entries of a KV head's index that it chooses among, over the layers that it acts in, and
    `search` names how a kernel finds the best of them (SEARCHES). `codes` counts the elements that are read back from
    codes. What a `metered` method moves is counted beside every step.
    """

    method: str
    access: str
    choose: float
    attend: float
    whole: float
    scored: float
    by_kernel: bool = True
    search: str = "groups"
    codes: float = 0.0
    metered: bool = False

    @property
    def moved(self) -> float:
        """Count what is read or written."""
        return self.choose + self.attend
