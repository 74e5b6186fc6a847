"""Computes MagicPIG: attends to tokens that hashing samples, each weighed by how likely it was to be sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import LayerPrefix, Meter, Step, attend_own, ends, gather_tokens, own_columns
from harness.attention.index.hashing import codes, match_probability, matches, twice_probability
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt, dense_cost
from harness.methods.knob_types import AtLeast, Count, Is, layer_seed
from harness.methods.ratio import Budget, largest_knob

__all__ = ["MagicPIG"]

ENTRY = 32
"""Bits of an entry of a hash table, which names a token."""
FLOOR = 1e-4
"""What is added to a probability before its logarithm is taken: it bounds what an unlikely token can weigh."""
SPREAD = 0.11
"""Standard deviation of the cosines between queries and keys that a plan assumes (ours)."""


@dataclass(frozen=True)
class Tables:
    """Holds the hash tables of a layer's prompt.

    planes [H, D, tables * bits]; hashed [B, 1, S] bool; mean [B, H, 1, D] of the hashed keys; codes [B, H, tables, S];
    norm [B, H, S] of the keys less their mean.
    """

    planes: Tensor
    hashed: Tensor
    mean: Tensor
    codes: Tensor
    norm: Tensor
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class MagicPIG(Method[Tables]):
    """Samples, for each query head, the prompt's tokens that share its hash in two of `tables` tables or more.

    A table hashes by `bits` random planes. A sampled token's logit is lowered by the logarithm of how likely it was to
    be sampled (plus 1e-4), so that attention is estimated. `sinks`, the prompt's last `local` and all decoded tokens
    are attended to as they are. Published: 10 bits with 150 tables (8 to 11 with 75 to 300), sinks 4, local 64.
    Keys are centred by the mean of those that are hashed, which a softmax does not see: logits here are not centred,
    which matters where an architecture caps them. Planes differ by layer and KV head, as in the authors' reference; a
    cosine with a vector of length 0 is 0 (ours). Source: sections 4 and 5 of the paper, the authors' code.
    """

    about: ClassVar[About] = About(
        title="MagicPIG",
        access="index",
        paper=Paper(
            title="MagicPIG: LSH Sampling for Efficient LLM Generation",
            authors="Zhuoming Chen, Ranajoy Sadhukhan, Zihao Ye, Yang Zhou, Jianyu Zhang, Niklas Nolte, Yuandong Tian, "
            "Matthijs Douze, Leon Bottou, Zhihao Jia, Beidi Chen",
            venue="ICLR",
            year=2025,
            arxiv="2410.16179",
        ),
        note="acts in all layers by default, where published runs leave 0, 16, 32, 48 and 64 dense (dense_layers)",
    )
    measured: ClassVar[bool] = True  # how many tokens are sampled depends on the data
    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "only the prompt is hashed, once and for all",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "the mean of the prompt's hashed keys stays",
    }

    tables: Annotated[int, AtLeast(2)]
    bits: Annotated[int, Is("a number of 1 to 15", lambda value: 1 <= value <= 15, (int,))] = 10
    sinks: Count = 4
    local: Count = 64
    seed: Count = 0

    def start(self, prefix: LayerPrefix) -> Tables:
        """Hash all prompt tokens but the first and the last ones."""
        hashed = prefix.mask & ~ends(prefix.mask, self.sinks, self.local)
        keys = prefix.k.to(torch.promote_types(prefix.k.dtype, torch.float32))
        total = (keys * hashed[..., None]).sum(2, keepdim=True)
        mean = total / hashed.sum(-1).clamp_min(1)[..., None, None]
        keys, planes = keys - mean, self.planes(prefix).to(keys)
        return Tables(planes, hashed, mean, codes(keys, planes, self.bits), keys.norm(dim=-1))

    def planes(self, prefix: LayerPrefix) -> Tensor:
        """Draw standard normal planes [H, D, tables * bits], the same on every device."""
        _, heads, _, d = prefix.k.shape
        layer, size = layer_seed(self.seed, prefix.layer), (d, self.tables * self.bits)
        generators = (torch.Generator().manual_seed(layer_seed(layer, head)) for head in range(heads))
        return torch.stack([torch.randn(size, generator=generator) for generator in generators])

    def attend(self, step: Step, state: Tables) -> Tensor:
        """Look the query up, read what it samples and what is always read, and attend with lowered logits."""
        grown = (0, step.length - state.hashed.shape[-1])
        queries = step.q.to(state.mean.dtype)
        count = matches(codes(queries, state.planes, self.bits), state.codes).masked_fill(~state.hashed[:, :, None], 0)
        sampled = pad(count >= 2, grown) & step.mask[:, :, None]
        index, own = own_columns(sampled | (step.mask & ~pad(state.hashed, grown))[:, :, None])
        sampled = sampled.gather(3, index[:, :, None].expand_as(own))
        k = gather_tokens(step.k, index)
        centred = queries @ (k.to(queries.dtype) - state.mean).transpose(2, 3)
        lengths = queries.norm(dim=-1, keepdim=True) * pad(state.norm, grown).gather(2, index)[:, :, None]
        chance = self._chance((centred / lengths).nan_to_num(0, 0, 0))
        state.meter.note(self._moved(step, state, count, sampled, own))
        bias = (chance + FLOOR).log().neg().to(queries.dtype).masked_fill(~sampled, 0)
        return attend_own(step, index, own, k, bias)

    def _chance(self, cosine: Tensor) -> Tensor:
        """Compute how likely a token is to be sampled, in float64."""
        return twice_probability(match_probability(cosine.double(), self.bits), self.tables)

    def _moved(self, step: Step, state: Tables, count: Tensor, sampled: Tensor, own: Tensor) -> Tensor:
        """Count the bits of a step, [B, H], as `cost` does, with what was found."""
        entries, norms, rows = count.sum((2, 3)), sampled.any(2).sum(-1), own.any(2).sum(-1)
        planes = (state.planes.shape[2] + 1) * step.k.shape[3] * state.hashed.any(-1)
        return ENTRY * entries + ELEMENT * (planes + norms + 2 * step.k.shape[3] * (rows + 1))

    def meter(self, state: Tables) -> Meter:
        """Return the meter of the layer."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Count planes, mean, the entries of the buckets and the norms of sampled tokens to choose; tables are held.

        A plan takes cosines as normal around 0 with a deviation of 0.11 (ours), under which the published settings
        sample what their authors say they do, and heads of a group as independent.
        """
        hashed = max(0, at.prompt - self.sinks - self.local)
        if not hashed:
            return dense_cost(at)
        match, twice = expected(self.bits, self.tables)
        sampled, planes = hashed * (1 - (1 - twice) ** at.group), at.keys(self.tables * self.bits + 1)
        entries = at.group * self.tables * match * hashed
        return Cost(
            choose=planes + ENTRY * entries + at.elements(sampled),
            attend=at.tokens(at.n - hashed + sampled),
            write=at.newest,
            held=at.cache + planes + ENTRY * self.tables * hashed + at.elements(hashed),
        )

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the number of tables under the assumption of `cost`; tables of runs show the ratio measured."""
        return largest_knob(cls, "tables", (2, budget.tokens), budget, **fixed)


@cache
def expected(bits: int, tables: int, points: int = 101) -> tuple[float, float]:
    """Compute the shares of keys that a plan expects to agree in a table, and in two tables or more."""
    spread = NormalDist(0, SPREAD)
    cosines = torch.tensor([spread.inv_cdf((i + 0.5) / points) for i in range(points)], dtype=torch.float64)
    match = match_probability(cosines, bits)
    return float(match.mean()), float(twice_probability(match, tables).mean())
