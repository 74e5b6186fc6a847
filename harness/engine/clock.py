"""How long a part of a forward pass takes: on the host's clock, or between two events of a GPU's stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class HostClock:
    """Time on a device that computes while Python waits. `seconds` is the sum of all runs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what happens within."""
        begin = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begin

    def read(self) -> None:
        """Nothing to add: runs are summed up as they end."""

    def forget(self) -> None:
        """Nothing was recorded."""


class StreamClock:
    """Time on a GPU, which runs behind Python. What a CUDA graph records is timed again at every replay."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._once: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._recorded: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what is launched within."""
        recording = torch.cuda.is_current_stream_capturing()
        begin, end = (torch.cuda.Event(enable_timing=True, external=recording) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        (self._recorded if recording else self._once).append((begin, end))

    def read(self) -> None:
        """Add what ran since the last reading, one replay at most. The stream must have come to its end."""
        runs = self._once + self._recorded
        self.seconds += sum(begin.elapsed_time(end) for begin, end in runs) / 1e3
        self._once = []

    def forget(self) -> None:
        """Nothing that was recorded will be replayed."""
        self._recorded = []


Clock = HostClock | StreamClock


def wait_for(device: torch.device) -> None:
    """Return once a GPU has done all that it was given; others do things at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clock_of(device: torch.device) -> Clock:
    """The clock that tells the truth on a device."""
    return StreamClock() if device.type == "cuda" else HostClock()
