"""Computes the blocks of a prompt's attention that antidiagonal sums say hold a share of its mass: XAttention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import Attended, LayerPrefill, LayerPrefix, Step, attend_prompt, attend_to_all, in_blocks
from harness.attention.antidiagonals import block_mass
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt, dense_cost
from harness.methods.knob_types import Positive, Size
from harness.methods.ratio import Budget

__all__ = ["XAttention"]


@dataclass(frozen=True)
class XAttention(Method[None]):
    """Keeps, for each block of queries of each query head, the fewest blocks that hold `threshold` of the mass.

    More than 1 keeps all. The mass is estimated by sums over every `stride`-th antidiagonal; a prompt is worked on in
    chunks of so many tokens (null: as the released code chooses), of which the first follows a rule of its own.
    """

    about: ClassVar[About] = About(
        title="XAttention",
        access="all",
        note="saves in the prefill alone, decode steps are dense; without the tuned table of thresholds",
        paper=Paper(
            title="XAttention: Block Sparse Attention with Antidiagonal Scoring",
            authors="Ruyi Xu, Guangxuan Xiao, Haofeng Huang, Junxian Guo, Song Han",
            venue="ICML",
            year=2025,
            arxiv="2503.16428",
        ),
    )
    own_prefill: ClassVar[bool] = True
    excused: ClassVar[dict[str, str]] = {"the_small_budget_is_not_dense_attention": "its decode steps are dense"}

    threshold: Positive = 0.9
    stride: Size = 8
    block_size: Size = 128
    norm: Positive = 1.0
    chunk: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for knob, value, part in (("block_size", self.block_size, self.stride), ("chunk", self.chunk, self.block_size)):
            if value is not None and value % part:
                raise InputError(f"XAttention needs {knob} as a multiple of {part}, not {value}")

    def prefill(self, prompt: LayerPrefill) -> Attended:
        """Attend exactly to the chosen blocks, token by token causal."""
        mass = block_mass(prompt, self.stride, self.block_size, self.norm)
        first = self._chunk(prompt.live.sum(-1)) // self.block_size
        return attend_prompt(prompt, in_blocks(chosen_blocks(mass, self.threshold, first), self.block_size))

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Attend densely."""
        return attend_to_all(step)

    def cost(self, at: LayerAt) -> Cost:
        """Count what dense attention moves and holds: nothing is saved while decoding."""
        return dense_cost(at)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Return the method at ratio 1. Raises InputError at any other."""
        if budget.ratio != 1:
            raise InputError("it saves in the prefill alone, a decode step is dense: set its threshold")
        return cls(**fixed)

    def _chunk(self, lengths: Tensor) -> Tensor:
        """Return how many tokens of each row [B] are worked on at once: max(2048, min(max(2048, L), 2^28 / L)).

        L is the length rounded up to a power of two.
        """
        if self.chunk is not None:
            return torch.full_like(lengths, self.chunk)
        power = 2 ** lengths.clamp_min(1).double().log2().ceil().long()
        return torch.minimum(power.clamp_min(2048), 2**28 // power).clamp_min(2048)


def chosen_blocks(mass: Tensor, threshold: float, first: Tensor) -> Tensor:
    """Return which blocks of keys each block of queries attends to, from their mass [B, H, G, R, R]: bool.

    A row r keeps its own block and block 0, and others by falling mass until a share is reached: with one more than is
    needed in the `first` [B] rows, of which block 0 counts only as it ranks, and with those needed in later rows.
    """
    row = torch.arange(mass.shape[-1], device=mass.device)
    own, zero, early = row == row[:, None], row == 0, (row < first[:, None])[:, None, None, :, None]
    forced = own | (zero & ~early)
    candidates = (row <= row[:, None]) & ~forced
    ranked, order = mass.masked_fill(~candidates, -1).sort(-1, descending=True)
    held = (mass * forced).sum(-1, keepdim=True) + _before(ranked.clamp_min(0))
    held = torch.where(early, torch.nn.functional.pad(held[..., :-1], (1, 0), value=-1), held)
    kept = torch.zeros_like(order, dtype=torch.bool).scatter(-1, order, held < threshold * mass.sum(-1, keepdim=True))
    return (kept & candidates) | own | (zero & (row <= row[:, None]))


def _before(ranked: Tensor) -> Tensor:
    """Sum what precedes each entry of the last axis."""
    return ranked.cumsum(-1) - ranked
