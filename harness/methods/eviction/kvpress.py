"""Runs a press of NVIDIA's kvpress at the end of the prompt, and attends to what it leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to_all
from harness.attention.compressor import Compressed, Compressor
from harness.attention.index.grown import Grown
from harness.attention.statistics import LayerInputs, Statistic
from harness.attention.unrotated import rope_of
from harness.methods.about import About
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.exemption import Layers
from harness.methods.knob_types import Count, Is
from harness.methods.ratio import Budget, largest_share, without_null

__all__ = ["KVPress"]

Press = Annotated[
    str,
    Is(
        "a press of kvpress, such as SnapKVPress, or one that wraps another, such as AdaKVPress/SnapKVPress",
        re.compile(r"\w+Press(/\w+Press)*").fullmatch,
        (str,),
    ),
]
Options = Annotated[
    str,
    Is(
        "arguments of the press, such as 'window_size=32, kernel_size=7'",
        re.compile(r"|\w+=[^,=]+(, *\w+=[^,=]+)*").fullmatch,
        (str,),
    ),
]
Removed = Annotated[float, Is("a share of at least 0, below 1", lambda value: 0 <= value < 1)]


@dataclass
class Pressed:
    """Holds the keys and values that are left and every newer one, which of them are kept [B, H, N], and a meter."""

    k: Grown
    v: Grown
    kept: Tensor
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class KVPress(Method[Pressed]):
    """Lets a press remove `ratio` of the prompt's tokens, with its own `options`, and keeps every newer token.

    Presses that act when a prompt is prefilled are run by their compress(), row by row, on the keys, values and inputs
    of the layer; what they return is kept as it is, for they may move keys or mix values. Bytes are measured by what
    comes back. A press does not say which tokens it has kept, so layers with a window stay dense.
    """

    about: ClassVar[About] = About(
        title="KVPress",
        access="history",
        note="runs a press of NVIDIA's package kvpress, which has to be installed beside; in layers without a window "
        "alone",
    )
    owns_cache: ClassVar[bool] = True
    measured: ClassVar[bool] = True
    observes: ClassVar[frozenset[Statistic]] = frozenset({LayerInputs()})
    excused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "tokens_that_a_sliding_window_dropped_have_no_influence",
            "values_that_a_sliding_window_dropped_have_no_influence",
        ),
        "a press does not say which tokens it has kept: it acts in layers without a window",
    )

    ratio: Removed
    press: Press = "ExpectedAttentionPress"
    options: Options = ""
    seed: Count = 0
    layers: Layers = field(default="full", kw_only=True)

    @property
    def needs(self) -> frozenset[Need]:
        """Return the press itself, and the rotary embedding that many presses turn queries with."""
        return frozenset({"compress", "rope"})

    @property
    def compressor(self) -> Compressor:
        """Return the press."""
        return Compressor(self.press, self.ratio, self.options, self.seed)

    def start(self, prefix: LayerPrefix) -> Pressed:
        """Compress the prompts one by one, and put what is left side by side."""
        found = [self._compressed(prefix, row) for row in range(prefix.k.shape[0])]
        most = max(row.k.shape[2] for row in found)
        k = torch.cat([_filled(row.k, most) for row in found])
        v = torch.cat([_filled(row.v, most) for row in found])
        kept = torch.cat([_filled(_kept(row)[..., None], most)[..., 0] for row in found])
        return Pressed(Grown(k, prefix.decode_steps), Grown(v, prefix.decode_steps), kept)

    def attend(self, step: Step, state: Pressed) -> Tensor:
        """Attend to what is left and to every newer token."""
        k, v = state.k.append(step.k[:, :, -1]), state.v.append(step.v[:, :, -1])
        newest = step.mask[:, :, -1:].expand(-1, k.shape[1], -1)
        state.kept = torch.cat([state.kept, newest], -1)
        state.meter.note((state.kept.sum(-1) + 1) * (2 * k.shape[3] * ELEMENT))
        return attend_to_all(replace(step, k=k, v=v, mask=state.kept))

    def cost(self, at: LayerAt) -> Cost:
        """Count the share of the prompt that is not removed, and newer tokens: an estimate, for presses differ."""
        kept = max(1, int(at.prompt * (1 - self.ratio)))
        cached = at.tokens(kept + at.n - at.prompt)
        return Cost(attend=cached, write=at.newest, held=cached)

    def state_elements(self, at: LayerAt) -> float:
        """Count a cache of what is left, and what enters attention, about as wide as all queries."""
        return self.cost(at).held / ELEMENT + at.n * at.group * at.head_dim

    def meter(self, state: Pressed) -> Meter:
        """Return what was counted of the tokens that are left."""
        return state.meter

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve ratio, of a press that removes as much as it is told."""
        given = without_null(fixed)
        if "ratio" in given:
            return cls(**given)
        return largest_share(lambda share, **more: cls(ratio=round(1 - share, 6), **more), "share", budget, **given)

    def _compressed(self, prefix: LayerPrefix, row: int) -> Compressed:
        assert prefix.compress is not None
        first = int(prefix.first[row])
        k, v = (x[row : row + 1, :, first:] for x in (prefix.k, prefix.v))
        (statistic,) = self.observes
        inputs = prefix.statistics[statistic][row : row + 1, :, first:].mT
        return prefix.compress(inputs, k, v, rope_of(prefix))


def _kept(found: Compressed) -> Tensor:
    """Return which tokens [1, H, K] are not masked out."""
    return torch.ones_like(found.k[..., 0], dtype=torch.bool) if found.kept is None else found.kept


def _filled(x: Tensor, length: int) -> Tensor:
    """Put tokens that are none in front of x [1, H, K, D] until there are as many."""
    return torch.nn.functional.pad(x, (0, 0, length - x.shape[2], 0))
