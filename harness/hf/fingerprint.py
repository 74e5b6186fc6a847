"""Identifies the files of checkpoints and tokenizers: a folder's by their bytes, a hub repository's by its commit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from transformers.utils.hub import extract_commit_hash

from harness.errors import InputError
from harness.hf.located import Located
from harness.hf.vetting.files import WEIGHTS, entries

TELLING = ("config.json", "tokenizer_config.json", "tokenizer.json")
"""Files of which a hub repository has one, in the version that is used."""


def fingerprint(path: str, *, weights: bool, revision: str | None = None, also: str | None = None) -> str:
    """Hash the files of a folder, with or without weights (`also` names one that counts in any case), or the commit.

    Raises InputError if no file of a hub repository is there to tell the commit.
    """
    folder = Path(path)
    if not folder.is_dir():
        return _digest(f"{path}@{_commit(path, revision, also)}")
    files = [file for file in entries(folder) if file.is_file() and (weights or file.suffix not in WEIGHTS)]
    if also is not None and folder / also not in files:
        files.append(folder / also)
    return _digest("".join(f"{file.relative_to(folder)}:{hash_file(file)}\n" for file in files))


def hash_file(file: Path) -> str:
    """Hash the bytes of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _commit(path: str, revision: str | None, also: str | None) -> str:
    files = Located(path, revision)
    for name in (*TELLING, *([also] if also else ())):
        found = files.find(name)
        commit = None if found is None else extract_commit_hash(str(found), None)
        if commit is not None:
            return str(commit)
    raise InputError(f"{path}: no file of it tells its commit, so its outputs could not be told from another version's")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]  # names may be any bytes
