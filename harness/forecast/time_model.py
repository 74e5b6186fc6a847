"""Predicts how long prefills and decode steps take on a GPU, by a model fitted on what `harness bench` measured.

A decode step reads the weights once, then each layer's attention runs: a fixed latency, a chain of dependent loads as
long as what one KV head reads, and all bytes at a share of the memory's bandwidth. `time_model.yaml` holds the
constants and where they come from; `scripts/fit_time_model.py` writes it. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

CONSTANTS = Path(__file__).with_name("time_model.yaml")
LAUNCHED = 2
"""Steps of a batch that Python launches: the first, which starts every layer, and the one that a CUDA graph records."""
UNMEASURED = "channels"
"""The access pattern that those nobody measured are taken for: something smaller than K chooses, rows are gathered."""
Reads = Sequence[tuple[str, float]]
"""Of every cell: its access pattern (harness/methods/about.py), and the bytes of KV cache that a step moves."""


@dataclass(frozen=True)
class Device:
    """Holds a data sheet: peak dense 16-bit arithmetic in FLOP/s, memory in bytes and its bandwidth in bytes/s."""

    name: str
    flops: float
    bandwidth: float
    memory: float


MEASURED = Device("H200", 989e12, 4.8e12, 141e9)
"""Where the constants were measured. On any other device, latencies stay and the rest scales with the data sheets."""
DEVICES = (
    Device("A100-80", 312e12, 2.0e12, 80e9),
    Device("H100", 989e12, 3.35e12, 80e9),
    MEASURED,
    Device("L40S", 362e12, 0.864e12, 48e9),
)


@dataclass(frozen=True)
class ModelSize:
    """Holds what of a model costs time: weights that multiply a token, attention layers, KV heads of a layer."""

    parameters: float
    layers: int
    kv_heads: float
    bytes_per_element: int = 2


@dataclass(frozen=True)
class Attention:
    """Describes a kernel: microseconds per call and per kB that one KV head reads, share of the bandwidth."""

    fixed_us: float
    chain_us_per_kb: float
    share: float

    def seconds(self, device: Device, size: ModelSize, row_bytes: float, rows: int) -> float:
        """Predict all layers of one step, when each of `rows` sequences reads `row_bytes` over all layers and heads."""
        chain = self.chain_us_per_kb * row_bytes / size.kv_heads / 1e3
        return (size.layers * self.fixed_us + chain) / 1e6 + rows * row_bytes / (self.share * device.bandwidth)


@dataclass(frozen=True)
class TimeModel:
    """Predicts seconds on one device.

    `prefill_share` of peak arithmetic is assumed: `harness bench` does not measure it. `call_us` is what
    launching the attention of one layer under one cell from Python adds to a step that is not replayed; it is what the
    one sweep that was timed took beyond its kernels.
    """

    weights_share: float
    prefill_share: float
    call_us: float
    attention: Mapping[str, Attention]

    @classmethod
    def stored(cls) -> Self:
        """Read the model as it was fitted."""
        constants: dict[str, Any] = yaml.safe_load(CONSTANTS.read_text(encoding="utf-8"))
        kernels = {name: Attention(**fitted) for name, fitted in constants.pop("attention").items()}
        return cls(**constants, attention=kernels)

    def prefill_seconds(self, device: Device, flops: float) -> float:
        """Predict a prefill of so much arithmetic."""
        return flops / (device.flops * self.prefill_share)

    def linear_seconds(self, device: Device, size: ModelSize, rows: int) -> float:
        """Predict a step without its attention: weights are read once, unless many rows' arithmetic takes longer."""
        read = size.parameters * size.bytes_per_element / (self.weights_share * device.bandwidth)
        return max(read, self.prefill_seconds(device, 2 * size.parameters * rows))

    def attention_seconds(self, device: Device, size: ModelSize, access: str, row_bytes: float, rows: int) -> float:
        """Predict attention of all layers in one step of `rows` sequences, each moving `row_bytes` over all layers.

        `access` is how a method finds what it reads (harness/methods/about.py).
        """
        return self.kernel(access).seconds(device, size, row_bytes, rows)

    def kernel(self, access: str, path: str = "triton") -> Attention:
        """Return the constants of an access pattern; of one that was not measured, those of UNMEASURED."""
        return self.attention.get(f"{access}/{path}") or self.attention[f"{UNMEASURED}/triton"]


@dataclass(frozen=True)
class Decoding:
    """Describes what one batch decodes: `steps`, `rows` under each cell, and what every cell reads."""

    steps: int
    rows: int
    reads: Reads

    def kernel_seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """Predict all steps if nothing had to be waited for but the kernels."""
        attention = (model.attention_seconds(device, size, access, read, self.rows) for access, read in self.reads)
        return self.steps * (model.linear_seconds(device, size, self.rows * len(self.reads)) + sum(attention))

    def seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """Predict the kernels, and what launching them adds to the steps that are not replayed."""
        launched = min(self.steps, LAUNCHED) * len(self.reads) * size.layers
        return self.kernel_seconds(model, device, size) + launched * model.call_us / 1e6
