"""Reads the rows of a data set, wherever it lies, and refuses what is missing in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from harness.errors import InputError, first_line

Row = dict[str, Any]


def load_rows(source: Mapping[str, Any], columns: Sequence[str]) -> list[Row]:
    """Read the rows of a source: {"files": [parquet, ...]} or the hub's {"path", "name", "split", "revision"}.

    Raises InputError for a missing file, an unreachable hub or a missing column.
    """
    table = _from_files(source["files"]) if "files" in source else _from_hub(source)
    missing = [c for c in columns if c not in table.column_names]
    if missing:
        where = source.get("files") or source.get("path")
        raise InputError(f"{where} has no column {', '.join(missing)}: its columns are {', '.join(table.column_names)}")
    return list(table.select_columns(list(columns)))


def to_dataset(docs: Sequence[Row]) -> Any:
    """Wrap documents as lm-eval expects them: a data set with one split, "test"."""
    if not docs:
        raise InputError("no example is left: every row was too short or too long; relax task.arguments, or add data")
    return datasets.DatasetDict({"test": datasets.Dataset.from_list(list(docs))})


def _from_files(files: Sequence[str]) -> Any:
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"data file {file} does not exist: check data.root, or choose data=embedded")
    try:
        return datasets.concatenate_datasets([datasets.Dataset.from_parquet(str(f)) for f in files])
    except (OSError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        raise InputError(f"{', '.join(files)} cannot be read as parquet ({first_line(error)})") from None


def _from_hub(source: Mapping[str, Any]) -> Any:
    given = {key: source[key] for key in ("path", "name", "split", "revision") if source.get(key) is not None}
    try:
        return datasets.load_dataset(**given)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"data set {source['path']} cannot be loaded ({first_line(error)}): try data=local or data=embedded"
        ) from None
