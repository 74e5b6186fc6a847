"""Keeps first and last tokens, and merges V of a token that is about to leave into its successors: CaM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, gather_tokens, softmax, uniform
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Initial, Size, floor
from harness.methods.ratio import Budget, largest_knob

__all__ = ["CaM"]


@dataclass
class Merged:
    """Holds V of the window's tokens as merged so far, [B, H, W, D], oldest first; it is replaced, never written to.

    layer: its number. position [B]: how many live tokens each row has. due [B, H]: where the last step has decided to
    merge.
    """

    values: Tensor
    layer: int
    position: Tensor
    due: Tensor | None = None


@dataclass(frozen=True)
class CaM(Method[Merged]):
    """Attends to the `initial` oldest tokens (default k/2, as published) and the last k - initial, newest included.

    After a step, V of the token that will be attended to once more is added to those of the up to `merge` tokens behind
    it, divided by `merge`, with a probability: its weight, a group's mean, over the mean weight of all behind it.
    `draw` says how often: "bernoulli" by this probability, "always" or "never". K stays as it is, and positions stay
    absolute. A token that does not leave is not merged, so that nothing happens where all tokens fit (ours: the
    released code then masks everything). Source: the authors' generation code, `cam_hf/utils_hh`.
    """

    about: ClassVar[About] = About(
        title="CaM",
        access="positions",
        paper=Paper(
            title="CaM: Cache Merging for Memory-efficient LLMs Inference",
            authors="Yuxin Zhang, Yuxuan Du, Gen Luo, Yunshan Zhong, Zhenyu Zhang, Shiwei Liu, Rongrong Ji",
            venue="ICML",
            year=2024,
        ),
        note="the released generation code, which merges over 32 tokens one step before a token's last use",
    )
    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "values that earlier steps merged stay merged"
    }

    k: Size
    initial: Initial | None = None
    merge: Size = 32
    draw: Literal["bernoulli", "always", "never"] = "bernoulli"
    seed: Count = 0

    @property
    def resolved(self) -> Self:
        """Return the method with the oldest tokens that are always kept as a number."""
        return replace(self, initial=self._initial)

    @property
    def _initial(self) -> int:
        return self.k // 2 if self.initial is None else self.initial

    @property
    def _window(self) -> int:
        return self.k - self._initial

    def start(self, prefix: LayerPrefix) -> Merged:
        """Start from V of the window as it is."""
        return Merged(prefix.v[:, :, -self._window :], prefix.layer, prefix.lengths)

    def attend(self, step: Step, state: Merged) -> Tensor:
        """Merge what the last step has decided to, attend to the pattern, and decide again."""
        window = torch.cat([self._staying(state), step.v[:, :, -1:]], 2)
        self.settle(window[:, :, :-1], state)
        state.values, state.position = window, state.position + 1
        begin = step.length - window.shape[2]
        first = step.mask.int().argmax(-1)[:, :, None]
        index = first + torch.arange(self._initial, device=first.device)
        mask = torch.cat([index < begin, step.mask[..., begin:]], -1)
        index = index.clamp_max(step.length - 1)
        keys = gather_tokens(step.k, index), step.k[:, :, begin:]
        weights = softmax(torch.cat([step.scores(step.q, k) for k in keys], -1), mask[:, :, None])
        self._decide(weights[..., self._initial :].mean(2), first[..., 0] + self._initial - begin, state)
        values = torch.cat([gather_tokens(step.v, index), window], 2)
        return weights.to(values.dtype) @ values

    def _decide(self, weights: Tensor, first: Tensor, state: Merged) -> None:
        """Note where the window's second oldest token is to be merged.

        weights [B, H, W] are those of the window's tokens; of them those from `first` [B, 1] on will leave.
        """
        leaving = weights.shape[2] - self._window + 1  # where the window is not full yet, nobody is about to leave
        if self.draw == "never" or leaving < 0 or self._window < 3:
            return
        state.due = (leaving >= first).expand(weights.shape[:2])
        if self.draw == "bernoulli":
            share = weights[..., leaving] / weights[..., leaving + 1 :].mean(-1)
            state.due = state.due & (self.luck(state) < share.nan_to_num(0, posinf=1))

    def luck(self, state: Merged) -> Tensor:
        """Draw a number in [0, 1) for each row and KV head, [B, H], which depends on the row's length besides."""
        heads = torch.arange(state.values.shape[1], device=state.values.device)
        return uniform(self.seed, state.layer, heads, state.position[:, None])

    def _staying(self, state: Merged) -> Tensor:
        """Return V of the tokens that the next step sees besides the newest: the oldest leaves a full window."""
        return state.values[:, :, int(state.values.shape[2] == self._window) :]

    def settle(self, staying: Tensor, state: Merged) -> None:
        """Merge what is due: V of the first of the tokens that stay [B, H, W, D] into those behind it, in place."""
        if state.due is not None:
            staying[:, :, 1 : 1 + self.merge] += staying[:, :, :1] / self.merge * state.due[..., None, None]
            state.due = None

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements, and a merge in each step as the most that may be: its V read, m read and written.

        m is `merge`, or the window less two if that is fewer. A merge is counted where all tokens fit, too.
        """
        merged = max(0, min(self.merge, min(self._window, at.n) - 2)) if self.draw != "never" else 0
        kept = at.tokens(min(self.k, at.n))
        read = at.keys(merged + 1) if merged else 0
        return Cost(attend=kept + read, write=at.newest + at.keys(merged), held=kept)

    def state_elements(self, at: LayerAt) -> float:
        """Count the copy of the window's V."""
        return min(self._window, at.n) * at.head_dim

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the initial tokens; a merge is part of the cost."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
