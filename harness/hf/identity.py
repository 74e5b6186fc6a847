"""What makes two checkpoints the same: their bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS = (".safetensors", ".gguf", ".bin")


def fingerprint_folder(folder: Path) -> str:
    """Hash of every configuration, tokenizer and weight file of a local checkpoint."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (*WEIGHTS, ".json", ".model", ".txt", ".jinja", ".py"):
            with file.open("rb") as stream:
                digest.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def fingerprint_commit(path: str, commit: str) -> str:
    """Hash of a hub checkpoint: its id and commit."""
    return hashlib.sha256(f"{path}@{commit}".encode()).hexdigest()[:16]
