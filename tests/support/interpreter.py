"""Kernels in Triton's interpreter where there is no GPU: to be called before a file of device code is imported."""

import functools
import importlib
import inspect
import os
import sys

import torch


def interpret():
    """Have Triton interpret kernels on a machine without a GPU."""
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return
    os.environ["TRITON_INTERPRET"] = "1"
    # Triton reads that when its files are imported, and another test's imports may have come first.
    for module in [name for name in sys.modules if name.split(".")[0] == "triton" and "._C" not in name]:
        del sys.modules[module]
    _search_once()


def _search_once():
    """Spare the interpreter a third of its time.

    Whenever a device function is called, it searches Triton's language for functions to replace: always the same.
    """
    try:
        interpreter = importlib.import_module("triton.runtime.interpreter")
    except ImportError:
        return
    is_builtin = interpreter.tl.core.is_builtin

    @functools.cache
    def names(package):
        return [name for name, member in inspect.getmembers(package) if is_builtin(member)]

    def patch_builtin(package, builder, scope):
        for name in names(package):
            if is_builtin(member := getattr(package, name)):
                interpreter._patch_attr(package, name, member, builder, scope)

    interpreter._patch_builtin = patch_builtin
