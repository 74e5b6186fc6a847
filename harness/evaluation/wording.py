"""Words what goes wrong while a task of lm-eval is made, in one sentence that names the fix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.errors import InputError


@contextlib.contextmanager
def worded(name: str) -> Iterator[None]:
    """Raise whatever goes wrong while a task of lm-eval is made as InputError, in a sentence that names the fix."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # YAMLs, their Python and their data fail in their own ways
        raise InputError(f"task {name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say why a task could not be made, and what to change."""
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, KeyError):
        return (
            f"its data have no {said}: name the splits and columns that are there in task.overrides "
            "(training_split, validation_split, test_split, fewshot_split; null for none)"
        )
    if isinstance(error, ImportError):
        return f"a package that it needs is not installed ({said})"
    if isinstance(error, (OSError, ValueError, RuntimeError)):
        return (
            f"its data cannot be loaded ({said}): check the network, or name local files in task.overrides "
            "(dataset_path, dataset_kwargs)"
        )
    return f"it cannot be made with these settings ({type(error).__name__}: {said})"
