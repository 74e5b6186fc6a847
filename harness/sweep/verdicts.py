"""How the jobs of a sweep ended, noted in files because they may run in other processes."""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import InputError, RunError


def note(folder: Path, number: str, overrides: str, error: InputError | RunError) -> None:
    """Keep why a job failed, and which job it was."""
    told = {"input": isinstance(error, InputError), "sentence": str(error), "overrides": overrides}
    (folder / f"{number}.json").write_text(json.dumps(told), encoding="utf-8")


def raise_all(folder: Path) -> None:
    """Raise what jobs noted: InputError if no job ran that could not be helped by other input, else RunError."""
    noted = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    if not noted:
        return
    kind = InputError if all(one["input"] for one in noted) else RunError
    if len(noted) == 1:
        raise kind(noted[0]["sentence"])
    raise kind(f"{len(noted)} jobs failed: " + "; ".join(f"[{one['overrides']}] {one['sentence']}" for one in noted))
