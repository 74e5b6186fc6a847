"""Says which files of a model's folder are read, and refuses those that are no plain files of its own.

A link counts as the file that it leads to, which lies in the folder or is a blob of the hub's cache: snapshots of that
cache, and folders that were downloaded with links into it, consist of such links.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError, first_line

WEIGHTS = (".safetensors", ".gguf", ".bin")
UNREAD = (".md", ".pdf", ".png", ".jpg", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".pth")
"""Endings of files beside a checkpoint that are for readers or for other libraries."""
TEMPLATES = "*chat_templates"
"""Folders of which files are read too."""
MOST_FILES = 10_000
"""Files of a folder: the largest checkpoints come in some hundred parts."""
MOST_WEIGHTS, MOST_TEXT = 2**41, 2**28
"""Bytes of a file of weights, and of any other: the largest tokenizers have 2^25."""
UNUSED, UNUSED_BYTES = 64, 2**34
"""Times that a folder may hold its model in float64, and bytes that any may: weights in several formats and types."""


def entries(folder: Path) -> list[Path]:
    """List what may be read of a folder, in order, whatever it is; of folders in it, only those of chat templates."""
    there = itertools.chain(folder.iterdir(), folder.glob(f"{TEMPLATES}/*"))
    found = (one for one in there if not one.name.startswith(".") and one.suffix.lower() not in UNREAD)
    return sorted(itertools.islice(found, MOST_FILES + 1))  # one too many, and the folder is refused


def check_files(name: str, folder: Path) -> None:
    """Raise InputError for what may be read of a folder and is no plain file of its own, and for too many files."""
    with _readable(name, folder):
        root, found = folder.resolve(strict=True), entries(folder)
    if len(found) > MOST_FILES:
        raise InputError(f"model '{name}': {folder} holds more than {MOST_FILES} files: name the folder of one model")
    for file in found:
        check_file(name, file, root)


def check_amount(name: str, folder: Path, numbers: int) -> None:
    """Raise InputError for files far larger than a model of so many numbers needs, for all of them are hashed."""
    size = sum(file.stat().st_size for file in entries(folder) if file.is_file())
    if size > max(UNUSED_BYTES, UNUSED * numbers * 8):
        raise InputError(
            f"model '{name}': {folder} holds {size:,} bytes, the {numbers:,} numbers that its configuration describes "
            "need far less: remove what is not of this model"
        )


def check_file(name: str, file: Path, root: Path) -> None:
    """Raise InputError unless what a path leads to is a folder, or a readable file of a size that is read.

    `root` is the model's folder, resolved.
    """
    with _readable(name, file):
        target = file.resolve(strict=True)
        status = target.stat()
    most = MOST_WEIGHTS if file.suffix in WEIGHTS else MOST_TEXT
    why = None
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        why = "is no plain file but a pipe, a socket or a device: remove it"
    elif not (target.is_relative_to(root) or _is_blob(target)):
        why = f"leads out of the model's folder, to {str(target)!r}: put the file itself in its place"
    elif status.st_size > most:
        why = f"has {status.st_size:,} bytes, more than {most:,}: no model needs such a file, remove it"
    elif not os.access(target, os.R_OK):
        why = "may not be read: change its permissions"
    if why:
        raise InputError(f"model '{name}': {str(file)!r} {why}")


def _is_blob(file: Path) -> bool:
    """Say if a file is where the hub's cache keeps contents: models--OWNER--NAME/blobs/HASH."""
    return file.parent.name == "blobs" and file.parent.parent.name.startswith("models--")


@contextmanager
def _readable(name: str, path: Path) -> Iterator[None]:
    """Raise InputError for a path that leads nowhere, in a circle, or where nobody may look."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # before Python 3.13, a circle of links is no OSError
        why = "is a link that leads nowhere" if path.is_symlink() else f"cannot be read ({first_line(error)})"
        raise InputError(f"model '{name}': {str(path)!r} {why}: remove it or download the model again") from None
