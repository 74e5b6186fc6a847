"""What went wrong in an example run: worth another try with less, a failure to note, or the end of the run."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import torch

from harness.engine import NotFiniteError
from harness.errors import InputError, RunError

_LOST_DEVICE: Any = getattr(torch, "AcceleratorError", ())
"""An error of the device itself; older torch has no name for it."""


@dataclass(frozen=True)
class Trouble:
    """An error without its frames, which would hold on to the tensors of the batch that failed."""

    sentence: str
    trace: str
    out_of_memory: bool
    not_finite: bool


def examine(error: Exception) -> Trouble:
    """Tell troubles of a batch from what no other batch would survive, which is raised.

    Raises InputError as it came, and RunError for a device that is lost: nothing works on it until the process ends.
    """
    if isinstance(error, InputError | RunError):
        raise error
    told = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, _LOST_DEVICE) and not _out_of_memory(error):
        raise RunError(f"the device failed ({told[0]}): finished work is kept, run the same command again") from error
    lines = traceback.format_exception(error)
    return Trouble(told[0], "".join(lines), _out_of_memory(error), isinstance(error, NotFiniteError))


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
