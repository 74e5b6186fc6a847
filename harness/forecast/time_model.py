"""Predicts how long prefills and decode steps take, by a model fitted on what `harness bench` measured.

A decode step reads the weights once, then each layer's attention runs. All methods share one path. Reading: a fixed
latency, a chain of dependent loads as long as what one KV head reads, and all bytes at a share of the memory's
bandwidth. Before it, where something is read to choose, choosing: a fixed latency, a search among the entries of a
head, and the bytes that are scored. The search for many of them takes longer, and what chooses by softmax weights
stores and weighs those of all query heads. Codes are read back by instructions that take longer than their bytes. A
method that counts what it moves launches that, too. One without a kernel is launched from Python in every layer, and
passes the whole cache. `time_model.yaml` holds the constants and where they come from; `scripts/fit_time_model.py`
writes it. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from harness.forecast.device import Device, ModelSize, Traffic

CONSTANTS = Path(__file__).with_name("time_model.yaml")
LAUNCHED = 2
"""Steps of a batch that Python launches: the first, which starts every layer, and the one that a CUDA graph records."""
SEPARATE = ("keys", "channels", "index")
"""Access patterns whose choice is a pass of its own. What others read to choose is read with the rest."""
WEIGHED = "keys"
"""The pattern of what reads all of K and chooses by softmax weights."""
UNMEASURED = "channels"
"""The pattern that those nobody measured are taken for: something smaller than K chooses."""


@dataclass(frozen=True)
class Reading:
    """Describes a pass over what is attended to: microseconds a call and per kB of a head, share of the bandwidth."""

    fixed_us: float
    chain_us_per_kb: float
    share: float

    def seconds(self, device: Device, size: ModelSize, row_bytes: float, rows: int) -> float:
        """Predict all layers of one step, when each of `rows` sequences reads `row_bytes` over all layers and heads."""
        chain = self.chain_us_per_kb * row_bytes / size.kv_heads / 1e3
        return (size.layers * self.fixed_us + chain) / 1e6 + rows * row_bytes / (self.share * device.bandwidth)


@dataclass(frozen=True)
class Search:
    """Describes what a search for many takes: microseconds a call, and per million entries of all KV heads."""

    fixed_us: float
    us_per_million: float


FEW = Search(0.0, 0.0)
"""What is searched by groups of neighbours: the other constants of a choice hold what it takes."""


@dataclass(frozen=True)
class Choosing:
    """Describes the pass that scores and chooses, in microseconds: a call, a thousand entries of one head to search.

    And a million softmax weights of all query heads, for the access pattern WEIGHED; `share` is that of the bandwidth
    at which each access pattern reads. `searches` holds what a search takes in addition that does not begin with groups
    of neighbours.
    """

    fixed_us: float
    us_per_kiloentry: float
    us_per_million_weights: float
    share: Mapping[str, float]
    searches: Mapping[str, Search] = field(default_factory=dict)

    @classmethod
    def of(cls, constants: Mapping[str, Any]) -> Self:
        """Make the pass of constants as they are stored."""
        searches = {name: Search(**fitted) for name, fitted in constants["searches"].items()}
        return cls(**{**constants, "searches": searches})

    def seconds(self, device: Device, size: ModelSize, traffic: Traffic, rows: int) -> float:
        """Predict all layers of one step; nothing where the choice is no pass of its own."""
        read, entries = chosen_apart(traffic), rows * traffic.scored * size.kv_heads
        if not read:
            return 0.0
        search = self.searches.get(traffic.search, FEW)
        latency = size.layers * (self.fixed_us + search.fixed_us) + self.us_per_kiloentry * traffic.scored / 1e3
        weighing = self.us_per_million_weights * size.group * (traffic.access == WEIGHED)
        scoring = (weighing + search.us_per_million) * entries / 1e6
        share = self.share.get(traffic.access) or self.share[UNMEASURED]
        return (latency + scoring) / 1e6 + rows * read / (share * device.bandwidth)


def chosen_apart(traffic: Traffic) -> float:
    """Return the bytes that a row reads in a pass of their own to choose."""
    return traffic.choose if traffic.access in SEPARATE else 0.0


@dataclass(frozen=True)
class TimeModel:
    """Predicts seconds on one device.

    `dense` holds PyTorch's own backends of dense attention and rivals, `torch` a method that Python launches.
    `codes_us_per_million` is what reading back so many codes adds, `meter_us` what a call that counts its bytes does.
    `prefill_share` of peak arithmetic is assumed: `harness bench` does not measure it. `call_us` is what launching the
    kernels of one layer under one cell from Python adds to a step that is not replayed; it is what the one sweep that
    was timed took beyond its kernels.
    """

    weights_share: float
    prefill_share: float
    call_us: float
    reading: Reading
    choosing: Choosing
    torch: Reading
    dense: Mapping[str, Reading]
    codes_us_per_million: float = 0.0
    meter_us: float = 0.0

    @classmethod
    def stored(cls) -> Self:
        """Read the model as it was fitted."""
        constants: dict[str, Any] = yaml.safe_load(CONSTANTS.read_text(encoding="utf-8"))
        dense = {name: Reading(**fitted) for name, fitted in constants.pop("dense").items()}
        reading, torch = (Reading(**constants.pop(name)) for name in ("reading", "torch"))
        choosing = Choosing.of(constants.pop("choosing"))
        return cls(**constants, reading=reading, choosing=choosing, torch=torch, dense=dense)

    def prefill_seconds(self, device: Device, flops: float) -> float:
        """Predict a prefill of so much arithmetic."""
        return flops / (device.flops * self.prefill_share)

    def linear_seconds(self, device: Device, size: ModelSize, rows: int) -> float:
        """Predict a step without its attention: weights are read once, unless many rows' arithmetic takes longer."""
        read = size.parameters * size.bytes_per_element / (self.weights_share * device.bandwidth)
        return max(read, self.prefill_seconds(device, 2 * size.parameters * rows))

    def attention_seconds(self, device: Device, size: ModelSize, traffic: Traffic, rows: int) -> float:
        """Predict attention of all layers in one step of `rows` sequences."""
        if not (traffic.by_kernel and device.kernels):
            return self.torch.seconds(device, size, traffic.whole + traffic.moved, rows)
        read = traffic.moved - chosen_apart(traffic)
        beside = self.codes_us_per_million * rows * traffic.codes / 1e6 + self.meter_us * size.layers * traffic.metered
        choosing = self.choosing.seconds(device, size, traffic, rows)
        return choosing + self.reading.seconds(device, size, read, rows) + beside / 1e6


@dataclass(frozen=True)
class Decoding:
    """Describes what one batch decodes: `steps`, `rows` under each cell, and what every cell moves."""

    steps: int
    rows: int
    reads: Sequence[Traffic]

    def kernel_seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """Predict all steps if nothing had to be waited for but the kernels."""
        attention = (model.attention_seconds(device, size, traffic, self.rows) for traffic in self.reads)
        return self.steps * (model.linear_seconds(device, size, self.rows * len(self.reads)) + sum(attention))

    def cell_seconds(self, model: TimeModel, device: Device, size: ModelSize) -> list[float]:
        """Predict each cell's share: its attention, as much as any other of the rest, and launches of its kernels."""
        rest = model.linear_seconds(device, size, self.rows * len(self.reads)) / len(self.reads)
        launches = min(self.steps, LAUNCHED) * size.layers * model.call_us / 1e6 * device.kernels
        return [
            self.steps * (rest + model.attention_seconds(device, size, traffic, self.rows))
            + launches * traffic.by_kernel
            for traffic in self.reads
        ]

    def seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """Predict the kernels, and what launching them adds to the steps that are not replayed."""
        return sum(self.cell_seconds(model, device, size))
