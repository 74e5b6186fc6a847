"""Measures how long a call takes: CUDA graphs on a GPU, a clock elsewhere; the median and the spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import torch

from harness.errors import InputError

Call = Callable[[], Any]
WARM_UP = 0.05
"""Seconds of replays before the first that is timed."""
LONGEST = 2.0
"""Seconds of launched calls after which no further one begins."""
OTHER_BYTES = 192 << 20
"""Bytes that pass through the caches before a launched call: more than any last-level cache that is known here."""


@dataclass(frozen=True)
class Timing:
    """Holds microseconds per call: median, 10th and 90th percentile; `how` is 'cuda graph' or 'clock'."""

    median: float
    p10: float
    p90: float
    how: str


def time_calls(calls: Sequence[Call], device: torch.device, samples: int = 20) -> Timing:
    """Time calls that do the same work on different buffers, one after the other, so that no cache is warm.

    On a GPU they are captured in one CUDA graph, which leaves Python's overhead out; a sample is one replay.
    Raises InputError for less than one sample.
    """
    check_samples(samples)
    if device.type == "cuda":
        return _summary(_replay(calls, device, samples), "cuda graph")
    return _summary(_clock(calls, samples), "clock")


def time_launches(call: Call, device: torch.device, samples: int) -> Timing:
    """Time a call as Python launches it, from a cold cache, until the device is done; fewer samples if it is slow.

    The call has run before. Raises InputError for less than one sample.
    """
    check_samples(samples)
    other = torch.ones(OTHER_BYTES // 4, device=device)
    times: list[float] = []
    while not times or (len(times) < samples and sum(times) < LONGEST * 1e6):
        other.neg_()
        _wait(device)
        begin = time.perf_counter()
        call()
        _wait(device)
        times.append((time.perf_counter() - begin) * 1e6)
    return _summary(times, "clock")


def check_samples(samples: int) -> None:
    """Raise InputError for less than one sample."""
    if samples < 1:
        raise InputError(f"samples must be at least 1, not {samples}")


def _summary(samples: list[float], how: str) -> Timing:
    deciles = quantiles(samples, n=10, method="inclusive") if len(samples) > 1 else samples * 9
    return Timing(median(samples), deciles[0], deciles[-1], how)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _clock(calls: Sequence[Call], samples: int) -> list[float]:
    for call in calls:
        call()
    seconds = []
    for _ in range(samples):
        begin = time.perf_counter()
        for call in calls:
            call()
        seconds.append((time.perf_counter() - begin) / len(calls) * 1e6)
    return seconds


def _replay(calls: Sequence[Call], device: torch.device, samples: int) -> list[float]:
    graph = _capture(list(calls) * -(-8 // len(calls)), device)
    per_replay = -(-8 // len(calls)) * len(calls)
    events = [(_event(), _event()) for _ in range(samples)]
    _warm_up(graph, device)
    for begin, end in events:
        begin.record()
        graph.replay()
        end.record()
    torch.cuda.synchronize(device)
    return [begin.elapsed_time(end) / per_replay * 1e3 for begin, end in events]


def _warm_up(graph: torch.cuda.CUDAGraph, device: torch.device) -> None:
    """Replay until the clocks of an idle GPU have risen."""
    begin = time.perf_counter()
    while time.perf_counter() < begin + WARM_UP:
        graph.replay()
        torch.cuda.synchronize(device)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _capture(calls: Sequence[Call], device: torch.device) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(2):
            calls[0]()
    torch.cuda.current_stream(device).wait_stream(stream)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph
