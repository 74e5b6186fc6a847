"""Measures how far a method's next-token distributions lie from dense's, and what it would be worth as a draft."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

DRAFTS = (2, 4, 8)
"""Lengths of draft for which acceptance is counted."""


class Drafts(NamedTuple):
    """Counts the whole rounds of drafting, and the drafted tokens that were accepted in them."""

    rounds: int
    accepted: int


@dataclass(frozen=True)
class Divergence:
    """Compares a method with dense along dense's greedy tokens, over the decode steps of one output.

    Means over `steps`: `kl` is KL(dense || method) in nats, `agreement` the share of steps whose likeliest token is
    dense's, `lost` the probability that dense's token has lost. `drafts` says by length what the method's greedy drafts
    are worth: dense accepts of them what stands before the first token that is not its own (arXiv 2211.17192, greedy).
    """

    steps: int
    kl: float
    agreement: float
    lost: float
    drafts: Mapping[int, Drafts]

    @classmethod
    def of(cls, kl: Sequence[float], agrees: Sequence[bool], lost: Sequence[float]) -> Self | None:
        """Sum up the numbers of all steps; None without a step."""
        n = len(agrees)
        if not n:
            return None
        drafts = {length: draft(agrees, length) for length in DRAFTS}
        return cls(n, sum(kl) / n, sum(agrees) / n, sum(lost) / n, drafts)

    @property
    def record(self) -> dict[str, Any]:
        """Return the fields as JSON has them, means to nine digits."""
        means = {name: float(f"{getattr(self, name):.9g}") for name in ("kl", "agreement", "lost")}
        return {"steps": self.steps, **means, "drafts": {str(k): list(of) for k, of in self.drafts.items()}}


def draft(agrees: Sequence[bool], length: int) -> Drafts:
    """Draft along an output, whose steps tell whether the method agrees with dense.

    After what is accepted comes dense's own token, and behind it the next round. A round for which too few steps are
    left is not counted, however it would end: to count those that fail early would tell too little.
    """
    accepted = list(_accepted(agrees, length))
    return Drafts(len(accepted), sum(accepted))


def _accepted(agrees: Sequence[bool], length: int) -> Iterator[int]:
    begin = 0
    while begin + length <= len(agrees):
        drafted = [*agrees[begin : begin + length], False]
        yield drafted.index(False)
        begin += drafted.index(False) + 1


class Differences(NamedTuple):
    """Holds what Divergence sums up, by row and step: `kl` and `lost` [B, T] in float32 or better, `agrees` bool."""

    kl: Tensor
    agrees: Tensor
    lost: Tensor


def differences(dense: Tensor, own: Tensor) -> Differences:
    """Compare a method's logits with dense's, both [B, T, V].

    Dense's token is its likeliest here, beside the method: the same in another batch may be another where two tie.
    """
    log_p, log_q = (
        logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1) for logits in (dense, own)
    )
    token = dense.argmax(-1, keepdim=True)
    p = log_p.exp()
    lost = (p.gather(-1, token) - log_q.gather(-1, token).exp())[..., 0]
    kl = torch.where(p > 0, p * (log_p - log_q), 0).sum(-1)  # a token that dense rules out adds nothing
    return Differences(kl.clamp(min=0), own.argmax(-1) == token[..., 0], lost)
