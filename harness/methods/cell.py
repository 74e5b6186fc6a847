"""Names one method with all its knobs set: a cell of the grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.methods.catalogue import create, settings
from harness.methods.contract import Method


@dataclass(frozen=True)
class Cell:
    """Holds one method with all its knobs set; `ratio` is the compression ratio it was solved for, if any."""

    name: str
    method: Method[Any]
    ratio: float | None = None

    @property
    def params(self) -> str:
        """Return the knobs as canonical JSON."""
        return json.dumps(settings(self.method), sort_keys=True)

    @property
    def id(self) -> str:
        """Return the stable name of the cell, which files know it by."""
        return f"{self.name}-{hashlib.sha256(self.params.encode()).hexdigest()[:8]}"

    @property
    def record(self) -> dict[str, Any]:
        """Return what is enough to make the cell again, as run.json holds it."""
        return {"method": self.name, "params": self.params, "ratio": self.ratio}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Cell:
        """Make the cell of a record. Raises InputError if its method is no more or has other knobs."""
        return cls(record["method"], create(record["method"], **json.loads(record["params"])), record["ratio"])
