"""Says what a checkpoint's weights hold, from their headers alone, and if that is the model which is described."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open

from harness.errors import InputError, first_line
from harness.hf.vetting.json_files import read_object

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
SAFE_ENDING = ".safetensors"
INDEX = ".index.json"
SLACK = 2**24
"""Numbers by which a configuration may exceed the weights: what is missing then is named when they are loaded."""


class Files(Protocol):
    """Knows where the files of a checkpoint lie."""

    def find(self, file: str) -> Path | None:
        """Return where a file lies; None if there is none."""

    def bring(self, files: Sequence[str]) -> list[Path]:
        """Return where files lie, in any order; none where none of them is. Raises OSError for one that is missing."""


@dataclass(frozen=True)
class Held:
    """Counts the numbers that weights may hold at most, and their tensors where known."""

    numbers: int
    tensors: int | None = None


def held(name: str, files: Files, pickled: bool, named: Any = None) -> Held | None:
    """Read the headers of a checkpoint's weights, in the file that its configuration names or that of the usual name.

    `pickled` weights are looked for where there are no others. Returns None if there are none. Raises InputError for a
    file that cannot be read, and for an index that names another kind of file or one that is not beside it.
    """
    for first in _candidates(name, pickled, named):
        if found := files.find(first):
            parts = files.bring(_shards(name, found)) if first.endswith(INDEX) else [found]
            return _counted(name, parts) if parts else None
    return None


def check_held(name: str, numbers: int, found: Held | None) -> None:
    """Raise InputError if a model of so many numbers is far more than its weights hold, where there are any."""
    if found is not None and numbers > found.numbers + SLACK:
        raise InputError(
            f"model '{name}': its configuration describes {numbers:,} numbers, its weights hold {found.numbers:,}: "
            "its configuration lies, or files are missing"
        )


def held_in_file(file: Path) -> Held:
    """Count what a file may hold whose tensors are not counted: a weight has a bit or more."""
    return Held(8 * file.stat().st_size)


def _candidates(name: str, pickled: bool, named: Any) -> list[str]:
    """List names under which weights are looked for, in the order of transformers."""
    if named is None:
        usual = [SAFE, *([PICKLED] if pickled else [])]
        return [file + ending for file in usual for ending in ("", INDEX)]
    if not isinstance(named, str) or not named.endswith((SAFE_ENDING, SAFE_ENDING + INDEX)) or "/" in named:
        raise InputError(
            f"model '{name}': its config.json says transformers_weights={named!r:.60}, which is no safetensors file "
            "of its folder: mend or remove it"
        )
    return [named]


def _shards(name: str, index: Path) -> list[str]:
    """List the files that an index names. Raises InputError for one that is not of its kind or not beside it."""
    said = read_object(name, index)
    listed, described = said.get("weight_map"), said.get("metadata")
    fix = "mend it or download the model again"
    if not isinstance(listed, dict) or not isinstance(described, dict) or not listed:
        raise InputError(f"model '{name}': its {index.name} wants objects weight_map and metadata: {fix}")
    ending = Path(index.name.removesuffix(INDEX)).suffix
    for file in listed.values():
        if not isinstance(file, str) or not file.endswith(ending) or "/" in file or "\\" in file:
            raise InputError(f"model '{name}': its {index.name} names {file!r:.60}, no {ending} file beside it: {fix}")
    return sorted(set(listed.values()))


def _counted(name: str, files: Sequence[Path]) -> Held:
    """Add up files of one kind. Pickled numbers cannot be counted without running them."""
    if files[0].suffix != SAFE_ENDING:
        return Held(sum(held_in_file(file).numbers for file in files))
    counts = [count for file in files for count in _counts(name, file)]
    return Held(sum(counts), len(counts))


def _counts(name: str, file: Path) -> list[int]:
    """Count the numbers in each tensor of a safetensors file; integers may hold packed ones of a bit or more."""
    try:
        with safe_open(file, framework="pt") as opened:
            parts = [opened.get_slice(key) for key in opened.keys()]  # noqa: SIM118, the file is no mapping
            return [math.prod(one.get_shape()) * _packed(one.get_dtype()) for one in parts]
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"model '{name}': its weights cannot be read: {file.name} is no whole safetensors file "
            f"({first_line(error)}): download it again"
        ) from None


def _packed(dtype: str) -> int:
    return 1 if dtype in ("F64", "F32", "F16", "BF16") else 64
