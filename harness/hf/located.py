"""Finds the files of a checkpoint: in a folder, or in the hub's cache, into which they are brought when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import cached_file
from transformers.utils.hub import cached_files

QUIET = (
    "_raise_exceptions_for_missing_entries",
    "_raise_exceptions_for_connection_errors",
    "_raise_exceptions_for_gated_repo",
)


@dataclass(frozen=True)
class Located:
    """Holds the path of a checkpoint: a folder's, or a name on the hub with its revision."""

    path: str
    revision: str | None = None

    @property
    def folder(self) -> Path | None:
        """Return the folder; None of a name on the hub."""
        folder = Path(self.path)
        return folder if folder.is_dir() else None

    def find(self, file: str) -> Path | None:
        """Return where a file lies; None if there is none, or if the hub cannot be asked."""
        found = cached_file(self.path, file, revision=self.revision, **dict.fromkeys(QUIET, False))
        return None if found is None else Path(found)

    def bring(self, files: Sequence[str]) -> list[Path]:
        """Return where files lie, in any order; of a folder that has none of them, none.

        Raises OSError for one that is not there, or that cannot be had of the hub.
        """
        if self.folder is not None:
            missing = [file for file in files if not (self.folder / file).is_file()]
            if len(missing) == len(files):
                return []
            if missing:
                raise FileNotFoundError(f"there is no {missing[0]} in {self.path}: download the model again")
        return [Path(file) for file in cached_files(self.path, list(files), revision=self.revision) or ()]
