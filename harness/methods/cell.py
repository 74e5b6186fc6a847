"""One method with all its knobs set: a cell of the grid."""

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
    """One method with all its knobs set; `ratio` is the compression ratio it was solved for, if any."""

    name: str
    method: Method[Any]
    ratio: float | None = None

    @property
    def params(self) -> str:
        """The knobs as canonical JSON."""
        return json.dumps(settings(self.method), sort_keys=True)

    @property
    def id(self) -> str:
        """Stable name of the cell."""
        return f"{self.name}-{hashlib.sha256(self.params.encode()).hexdigest()[:8]}"

    @property
    def told(self) -> dict[str, Any]:
        """What is enough to make the cell again."""
        return {"method": self.name, "params": self.params, "ratio": self.ratio}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Cell:
        """The cell that `told` came from. Raises InputError if its method is no more or has other knobs."""
        return cls(told["method"], create(told["method"], **json.loads(told["params"])), told["ratio"])
