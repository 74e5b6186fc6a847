"""Names one method with its knobs: a cell of the grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from harness.attention import LayerShape
from harness.methods.catalogue import check_knobs, create, find, settings, solve, telling
from harness.methods.contract import Method
from harness.methods.ratio import Budget, Of

Per = Literal["task", "example"]
"""Where knobs are solved: once at a task's mean prompt length, or for each prompt at its own."""


@dataclass(frozen=True)
class Cell:
    """Names a method whose knobs are all set, or are solved for a ratio at each prompt's own length.

    `params` holds the knobs that are set, as canonical JSON; `ratio` is the compression ratio that they were or are to
    be solved for, if any, and `bounds` says of which bytes. `layers` are the model's, over which knobs are solved at
    each prompt; None if all are set. `calibration` names the prompts that the method learnt from beforehand; "" if it
    learns from none.
    """

    name: str
    params: str
    ratio: float | None = None
    layers: tuple[LayerShape, ...] | None = None
    calibration: str = ""
    bounds: Of = "moved"

    @classmethod
    def of(cls, name: str, method: Method[Any], ratio: float | None = None, bounds: Of = "moved") -> Cell:
        """Make the cell of a method with all its knobs set."""
        return cls(name, _canonical(settings(method)), ratio, bounds=bounds)

    @classmethod
    def per_example(
        cls, name: str, fixed: Mapping[str, Any], ratio: float, layers: Sequence[LayerShape], bounds: Of = "moved"
    ) -> Cell:
        """Make the cell that solves all but the `fixed` knobs at each prompt's own length. Raises InputError."""
        check_knobs(name, dict(fixed))
        return cls(name, _canonical(telling(find(name), fixed)), ratio, tuple(layers), bounds=bounds)

    def calibrated(self, name: Callable[[int], str], n: int) -> Cell:
        """Return the cell with the prompts named that it learns from, if it does: `name` names the first so many.

        n is the length of some prompt of its task. Raises InputError where the cell's ratio cannot be reached.
        """
        calibrator = self.method_at(n).calibrator
        return self if calibrator is None else replace(self, calibration=name(calibrator.prompts))

    @property
    def is_dense(self) -> bool:
        """Return True for dense attention."""
        return find(self.name).is_dense

    @property
    def per(self) -> Per | None:
        """Say where the knobs were solved; None where they were given."""
        if self.layers is not None:
            return "example"
        return None if self.ratio is None or self.is_dense else "task"

    @property
    def id(self) -> str:
        """Return the stable name of the cell, which files know it by."""
        identity = self.params
        if self.layers is not None:
            held = " of memory" if self.bounds == "held" else ""
            identity = f"{self.params} for {float(self.ratio or 1)!r}{held} per example"
        identity += f" calibrated on {self.calibration}" if self.calibration else ""
        return f"{self.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    @property
    def record(self) -> dict[str, Any]:
        """Return what is enough to make the cell again, as run.json holds it."""
        made = {"method": self.name, "params": self.params, "ratio": self.ratio, "per": self.per}
        made |= {"bounds": self.bounds} if self.bounds != "moved" else {}
        return made | ({"calibration": self.calibration} if self.calibration else {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any], layers: Sequence[LayerShape]) -> Cell:
        """Make the cell of a record. Raises InputError if its method is no more or has other knobs."""
        name, knobs, ratio = record["method"], json.loads(record["params"]), record["ratio"]
        bounds = record.get("bounds", "moved")
        if record.get("per") == "example":
            cell = cls.per_example(name, knobs, ratio, layers, bounds)
        else:
            cell = cls.of(name, create(name, **knobs), ratio, bounds)
        return replace(cell, calibration=record.get("calibration", ""))

    def method_at(self, n: int) -> Method[Any]:
        """Return the method for a prompt of n tokens. Raises InputError where the ratio cannot be reached."""
        length = None if self.layers is None else n
        if length not in self._made:
            self._made[length] = self._make(length)
        return self._made[length]

    def params_at(self, lengths: Collection[int]) -> str:
        """Return all knobs as JSON; one that differs between prompts of these lengths as [least, greatest].

        With the knobs stands what the method learnt from.
        """
        learnt = {"calibrated": self.calibration} if self.calibration else {}
        if self.layers is None:
            return _canonical(json.loads(self.params) | learnt)
        found = [settings(self.method_at(n)) for n in lengths]
        values = {knob: [made[knob] for made in found] for knob in found[0]}
        ranges = {knob: of[0] if all(v == of[0] for v in of) else [min(of), max(of)] for knob, of in values.items()}
        return _canonical(ranges | learnt)

    @cached_property
    def _made(self) -> dict[int | None, Method[Any]]:
        return {}

    def _make(self, n: int | None) -> Method[Any]:
        fixed = json.loads(self.params)
        if n is None or self.layers is None or self.ratio is None:
            return create(self.name, **fixed)
        return solve(self.name, Budget(self.ratio, n, self.layers, self.bounds), **fixed)


def _canonical(knobs: Mapping[str, Any]) -> str:
    return json.dumps(dict(knobs), sort_keys=True)
