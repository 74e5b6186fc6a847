"""Finds the rotary embedding of every attention layer of a model, before weights are read.

A copy with random weights, one head and the true layers and lengths is fed one token over and over. Its hidden states
are the same at every position, so each layer's key at position p must be its key at 0, turned by p. What the model
holds as frequencies are candidates; which of them a layer uses, and which channels are a pair, the keys decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from harness.attention import Rope
from harness.engine.model import LayerCall
from harness.errors import first_line
from harness.hf.bridge import Bridge
from harness.hf.frequencies import candidates
from harness.hf.rope import turning_point
from harness.hf.shrink import narrowed
from harness.hf.trial import random_copy

TOKEN, NEAR, NOISE = 5, 12, 0.2
"""The one token; so many positions from 0 on are tried, beside powers of two and the last; deviation added to norms."""
TOLERANCE, PER_POSITION = 1e-5, 2e-7
"""Largest share by which a key may miss what is expected: models round angles to float32, the more, the further on."""


@dataclass(frozen=True)
class Ropes:
    """Holds the embedding of each layer, None where keys say of none that it holds; `refusal` then says why.

    `refusal` is the rest of a sentence about the model.
    """

    layers: tuple[Rope | None, ...]
    refusal: str | None = None


@dataclass(frozen=True)
class _Kind:
    """Holds a configuration, told from others by its text."""

    text: str
    widths: tuple[int, ...]
    max_length: int
    dtype: torch.dtype
    trust_remote_code: bool
    config: Any = field(compare=False)


@dataclass
class _Keys:
    """Notes keys [H, T, D] of every layer and which have moving values; each token attends to itself alone."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    moving: set[int] = field(default_factory=set)
    cached: int = 0
    final: int | None = None
    wants_inputs: bool = False

    def attend(self, call: LayerCall) -> Tensor:
        """Note keys, and whether values differ between positions; return the values."""
        self.keys[call.layer] = call.k[0].float()
        if not _same(call.v, call.v[:, :, :1]):
            self.moving.add(call.layer)
        return call.v.repeat_interleave(call.q.shape[1] // call.v.shape[1], 1)


def find_ropes(
    config: Any, widths: Sequence[int], max_length: int, dtype: torch.dtype, trust_remote_code: bool = False
) -> Ropes:
    """Find the embeddings that hold for all texts of at most max_length tokens, of a model that is loaded in dtype.

    widths are those of the heads of each layer, which the copy must have too.
    """
    return _find(_Kind(config.to_json_string(), tuple(widths), max_length, dtype, trust_remote_code, config))


@cache
def _find(kind: _Kind) -> Ropes:
    positions, why = _positions(kind.max_length), ""
    for narrow in (True, False):
        try:
            model = _copy(kind, narrow)
            bridge = Bridge(model)
            near, far = _keys(bridge, positions[:NEAR]), _keys(bridge, positions)
        except Exception as error:  # widths that do not fit together; foreign modelling code fails in its own ways
            why = first_line(error)
            continue
        if [far.keys[layer].shape[-1] for layer in sorted(far.keys)] == list(kind.widths):
            return _judged(kind, near, far, positions, list(candidates(model)))
        why = "its heads have another width"
    return Ropes((None,) * len(kind.widths), f"a small copy, whose keys would tell its rotary embedding, fails: {why}")


def _copy(kind: _Kind, narrow: bool) -> Any:
    """Make the copy in the dtype in which frequencies are computed, with norms that are not all ones, in float64."""
    model = random_copy(narrowed(kind.config, narrow), kind.dtype, kind.trust_remote_code).double()
    noise = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        if weight.dim() == 1:
            weight.add_(NOISE * torch.randn(weight.shape, generator=noise, dtype=weight.dtype))
    return model


def _judged(kind: _Kind, near: _Keys, far: _Keys, positions: Tensor, held: Sequence[Rope]) -> Ropes:
    """Compare the keys of a short text with those of a long one, and those with what each candidate says of them."""
    ropes: list[Rope | None] = []
    reasons: list[str] = []
    for layer in range(len(kind.widths)):
        rope, reason = _best(far.keys[layer], positions, held), None
        if layer in far.moving:
            reason = f"positions are added to the hidden states before its layer {layer}, not turned into its keys"
        elif not _same(near.keys[layer], far.keys[layer][:, :NEAR]):
            reason = f"its rotary embedding depends on a text's length: set model.max_length={_turn(kind)} or less"
        elif rope is None:
            reason = f"keys of its layer {layer} at other positions are no rotation by frequencies that it holds"
        ropes.append(None if reason else rope)
        reasons += [reason] if reason else []
    return Ropes(tuple(ropes), reasons[0] if reasons else None)


def _best(keys: Tensor, positions: Tensor, held: Sequence[Rope]) -> Rope | None:
    """Return the candidate that takes the key at 0 nearest to those at other positions; None if none is near."""
    fitting = [rope for rope in held if rope.width <= keys.shape[-1]]
    misses = [_miss(rope, keys, positions) for rope in fitting]
    best = min(range(len(fitting)), key=misses.__getitem__)
    return fitting[best] if misses[best] < 1 else None


def _miss(rope: Rope, keys: Tensor, positions: Tensor) -> float:
    """Measure the largest distance between keys [H, T, D] and the first one turned, as a share of what is allowed."""
    expected = rope.rotate(rope.unrotate(keys[:, :1], positions[:1]).expand_as(keys), positions)
    share = (keys - expected).abs().amax((0, 2)) / keys.abs().max()
    return float((share / (TOLERANCE + PER_POSITION * positions)).max())


def _keys(bridge: Bridge, positions: Tensor) -> _Keys:
    found = _Keys()
    bridge.forward(torch.full((1, len(positions)), TOKEN), positions[None], found)
    return found


def _positions(max_length: int) -> Tensor:
    """Choose positions [T] from 0 to the last one, first those in a row."""
    powers = {2**i for i in range(max_length.bit_length())}
    return torch.tensor(sorted(p for p in {*range(NEAR), *powers, max_length - 1} if p < max_length))


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b.expand_as(a), rtol=0, atol=TOLERANCE * float(b.abs().max()))


def _turn(kind: _Kind) -> int:
    """Return the length up to which one embedding holds."""
    return turning_point(kind.config, kind.max_length) or int(kind.config.get_text_config().max_position_embeddings)
