"""Finds the device that a setting names, makes a GPU the current one, waits for it, and times what runs on it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch

from harness.errors import InputError


def find_device(name: str, key: str = "model.device", kinds: Sequence[str] = ("cpu", "cuda", "mps")) -> str:
    """Return the name of the device that is meant on this machine: "auto" is CUDA where there is one, else the CPU.

    Raises InputError, in which the setting is called `key`, for a name of none of the kinds and for a device that is
    not here.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("auto", *kinds) or (colon and not (kind == "cuda" and number.isdecimal())):
        known = ", ".join("cuda, cuda:N" if one == "cuda" else one for one in kinds)
        raise InputError(f"{key}={name} is unknown: choose from auto, {known}")
    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(kind, 1)
    if int(number or 0) >= there:
        raise InputError(f"{key}={name} is not here, of {kind} there are {there}: auto takes what there is")
    return name


def device_name(device: str) -> str | None:
    """Return what a GPU calls itself; None for another device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one, to which kernels and CUDA graphs go; for other devices it does nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def wait_for(device: torch.device) -> None:
    """Return once a GPU has done all that it was given; other devices do things at once."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class HostClock:
    """Times a device that computes while Python waits: `seconds` sums all runs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what happens within."""
        begin = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begin

    def read(self) -> None:
        """Do nothing: runs are summed up as they end."""

    def forget(self) -> None:
        """Do nothing: no run is recorded."""


class StreamClock:
    """Times a GPU, which runs behind Python, by events; those in a CUDA graph are timed again at every replay."""

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
        """Add what ran since the last reading, one replay at most. The GPU must have done all that it was given."""
        runs = self._once + self._recorded
        self.seconds += sum(begin.elapsed_time(end) for begin, end in runs) / 1e3
        self._once = []

    def forget(self) -> None:
        """Drop the events of a CUDA graph that will not be replayed again."""
        self._recorded = []


Clock = HostClock | StreamClock


def make_clock(device: torch.device) -> Clock:
    """Make a clock that times a device."""
    return StreamClock() if device.type == "cuda" else HostClock()
