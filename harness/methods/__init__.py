"""Holds the techniques: one file each in the folder of its family, named like the method, and found by that name."""

from harness.methods.catalogue import (
    bibliography,
    check_knobs,
    check_runnable,
    create,
    facts,
    find,
    knobs,
    names,
    open_knobs,
    runnable,
    settings,
    solve,
)
from harness.methods.contract import Method
from harness.methods.decoding import decode
from harness.methods.knob_types import least, wanted
from harness.methods.ratio import Budget

__all__ = [
    "Budget",
    "Method",
    "bibliography",
    "check_knobs",
    "check_runnable",
    "create",
    "decode",
    "facts",
    "find",
    "knobs",
    "least",
    "names",
    "open_knobs",
    "runnable",
    "settings",
    "solve",
    "wanted",
]
