"""Counts how much work a job is, and how long a device takes for it by the time model. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.forecast.device import Device, ModelSize, Traffic
from harness.forecast.memory import Example
from harness.forecast.time_model import Decoding, TimeModel
from harness.forecast.transformer import Transformer

HOUR = 3600


@dataclass(frozen=True)
class Hours:
    """Holds how many hours of one device a job takes.

    `prefill` is that of all prefills and `prefill_per_cell` what they would be if every cell had its own; `kernels` is
    all decoding if nothing had to be waited for but the kernels, `decoding` has the launches of kernels too.
    """

    prefill: float
    prefill_per_cell: float
    kernels: float
    decoding: float


@dataclass(frozen=True)
class Workload:
    """Describes one job: the batches that a model decodes under all cells, and what each cell reads.

    `reads` gives for n cached tokens what a step of every cell moves for one row over all layers. `prefills` is how
    often an example is prefilled: once for the cells that share the dense prefill, and once for each that masks its
    prompt. `further` gives what passes read that decode a batch again, to compare its cells.
    """

    name: str
    model: Transformer
    batches: Sequence[Sequence[Example]]
    cells: int
    prefills: int
    reads: Callable[[int], Sequence[Traffic]]
    further: Sequence[Callable[[int], Sequence[Traffic]]] = ()

    @property
    def examples(self) -> int:
        """Count the examples."""
        return sum(map(len, self.batches))

    @property
    def runs(self) -> int:
        """Count the example runs: examples under cells."""
        return self.cells * self.examples

    @property
    def prefill_tokens(self) -> int:
        """Count the tokens of all prefills."""
        return self.prefills * sum(example.prompt for batch in self.batches for example in batch)

    @property
    def decode_tokens(self) -> int:
        """Count the decoded tokens of all cells, the first of each among them, as if no generation ended early."""
        return self.cells * sum(example.decoded for batch in self.batches for example in batch)

    @property
    def example_bytes(self) -> int:
        """Count the bytes of KV cache of the largest example under one cell."""
        return self.model.cached_bytes * max(sum(example) for batch in self.batches for example in batch)

    @property
    def batch_bytes(self) -> int:
        """Count the bytes of KV cache of the largest batch under all cells, padding included."""
        return self.model.cached_bytes * max(self._batch_tokens(batch) for batch in self.batches)

    @property
    def moved_bytes(self) -> float:
        """Count the bytes of KV cache that all steps move."""
        return sum(one.steps * one.rows * sum(read.moved for read in one.reads) for one in self._decoding)

    def hours(self, time: TimeModel, device: Device) -> Hours:
        """Predict the hours of a device."""
        size = self._size
        flops = sum(self.model.prefill_flops(example.prompt) for batch in self.batches for example in batch)
        once = time.prefill_seconds(device, flops) / HOUR
        decoding = self._decoding
        return Hours(
            prefill=self.prefills * once,
            prefill_per_cell=self.cells * once,
            kernels=sum(one.kernel_seconds(time, device, size) for one in decoding) / HOUR,
            decoding=sum(one.seconds(time, device, size) for one in decoding) / HOUR,
        )

    def hours_by_method(self, time: TimeModel, device: Device) -> dict[str, float]:
        """Predict the hours of decoding under each method, all its cells together."""
        hours: dict[str, float] = {}
        for one in self._decoding:
            for read, seconds in zip(one.reads, one.cell_seconds(time, device, self._size), strict=True):
                hours[read.method] = hours.get(read.method, 0.0) + seconds / HOUR
        return hours

    @property
    def by_kernel(self) -> dict[str, set[bool]]:
        """Tell of each method whether its cells run by a kernel where there is one: True, False, or both."""
        found: dict[str, set[bool]] = {}
        for read in self.reads(self.batches[0][0].prompt):
            found.setdefault(read.method, set()).add(read.by_kernel)
        return found

    @property
    def _size(self) -> ModelSize:
        model = self.model
        group = model.heads / model.kv_heads
        return ModelSize(model.parameters, len(model.layers), model.kv_heads, model.element, group)

    def _batch_tokens(self, batch: Sequence[Example]) -> int:
        longest, steps = (max(counts) for counts in zip(*batch, strict=True))
        return int(len(batch) * (longest + self.cells * steps))

    @cached_property
    def _decoding(self) -> list[Decoding]:
        """List each pass over a batch, at its mean prompt length; the first token of each row is the prefill's."""
        passes = []
        for batch in self.batches:
            typical = round(sum(example.prompt for example in batch) / len(batch))
            steps = max(example.decoded for example in batch) - 1
            for reads in (self.reads, *self.further):
                passes.append(Decoding(steps, len(batch), reads(typical)))
        return passes
