"""Finds the device that a setting names, and makes a GPU the current one: kernels and CUDA graphs go to that."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager

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


def current(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which a GPU is the current one; for other devices it does nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
