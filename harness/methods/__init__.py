"""The techniques: one file each in the folder of its family, named like the method, and found by that name."""

from harness.methods.catalogue import check_knobs, create, find, knobs, names, settings, solve
from harness.methods.contract import Method
from harness.methods.decoding import decode

__all__ = ["Method", "check_knobs", "create", "decode", "find", "knobs", "names", "settings", "solve"]
