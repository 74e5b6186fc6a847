"""Counts how much work a job is, and how long a device takes for it by the time model. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.forecast.memory import Example
from harness.forecast.time_model import Decoding, Device, ModelSize, Reads, TimeModel
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

    `reads` gives for n cached tokens the access pattern of every cell (harness/methods/about.py) and the bytes of KV
    cache that a step moves for one row over all layers. `prefills` is how often an example is prefilled: once for the
    cells that share the dense prefill, and once for each that masks its prompt. `further` gives what passes read that
    decode a batch again, to compare its cells.
    """

    name: str
    model: Transformer
    batches: Sequence[Sequence[Example]]
    cells: int
    prefills: int
    reads: Callable[[int], Reads]
    further: Sequence[Callable[[int], Reads]] = ()

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
        return sum(one.steps * one.rows * sum(moved for _, moved in one.reads) for one in self._decoding())

    def hours(self, time: TimeModel, device: Device) -> Hours:
        """Predict the hours of a device."""
        size = ModelSize(self.model.parameters, len(self.model.layers), self.model.kv_heads, self.model.element)
        flops = sum(self.model.prefill_flops(example.prompt) for batch in self.batches for example in batch)
        once = time.prefill_seconds(device, flops) / HOUR
        decoding = list(self._decoding())
        return Hours(
            prefill=self.prefills * once,
            prefill_per_cell=self.cells * once,
            kernels=sum(one.kernel_seconds(time, device, size) for one in decoding) / HOUR,
            decoding=sum(one.seconds(time, device, size) for one in decoding) / HOUR,
        )

    def _batch_tokens(self, batch: Sequence[Example]) -> int:
        longest, steps = (max(counts) for counts in zip(*batch, strict=True))
        return int(len(batch) * (longest + self.cells * steps))

    def _decoding(self) -> Iterator[Decoding]:
        """Yield each pass over a batch, at its mean prompt length; the first token of each row is the prefill's."""
        for batch in self.batches:
            typical = round(sum(example.prompt for example in batch) / len(batch))
            steps = max(example.decoded for example in batch) - 1
            for reads in (self.reads, *self.further):
                yield Decoding(steps, len(batch), reads(typical))
