"""Scores old tokens from product-quantised keys, and attends to the best and the newest exactly: PQCache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to, softmax, top_newest
from harness.attention.index.codes import Codes, starts
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt, dense_cost
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["PQCache"]


@dataclass
class Coded:
    """Holds the codes of a layer's keys, each row's first live column [B], and the rows too short to have codes."""

    codes: Codes
    first: Tensor
    short: Tensor
    prompt: int


@dataclass(frozen=True)
class PQCache(Method[Coded]):
    """Attends to `sinks`, the k best old tokens by codes, and the `recent` newest (null: k) besides the newest itself.

    At the end of the prompt, k-means gives each of `n_subvec` slices of the keys 2^n_bits centroids, from starts that
    are the same for all heads and layers. Approximate weights are summed over the group to choose; a token gets its
    codes when it leaves the window. Where the released code has defects its intention is taken: tokens of the window
    are clustered too, and a prompt of no more tokens than centroids is attended to whole. There, `max_iter` is what a
    machine has time for (25 is ours), and the seed 4321.
    """

    about: ClassVar[About] = About(
        title="PQCache",
        access="index",
        paper=Paper(
            title="PQCache: Product Quantization-based KVCache for Long Context LLM Inference",
            authors="Hailin Zhang, Xiaodong Ji, Yilin Chen, Fangcheng Fu, Xupeng Miao, Xiaonan Nie, Weipeng Chen, "
            "Bin Cui",
            venue="SIGMOD",
            year=2025,
            arxiv="2407.12820",
        ),
        note="25 iterations of k-means, where the released code makes as many as a machine has time for; tokens of the "
        "window are clustered by their own keys, where it reads stale ones",
    )
    excused: ClassVar[dict[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "keys are clustered once, at the end of the prompt",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "they were clustered with the others",
        "transfers_never_fall_with_a_knob": "a window that holds all tokens leaves none to choose, and costs no codes",
    }

    k: Size
    recent: Count | None = None
    sinks: Count = 32
    n_subvec: Size = 2
    n_bits: Size = 6
    max_iter: Size = 25
    seed: Count = 0

    @property
    def resolved(self) -> Self:
        """Return the method with the size of the window as a number."""
        return replace(self, recent=self.window)

    @property
    def window(self) -> int:
        """Count the newest tokens that are always kept, besides the newest itself."""
        return self.k if self.recent is None else self.recent

    def start(self, prefix: LayerPrefix) -> Coded:
        """Cluster the prompt's keys behind the sinks."""
        _, _, s, d = prefix.k.shape
        self._check_width(d)
        counts = (prefix.lengths - self.sinks).clamp_min(0)
        short = counts <= 2**self.n_bits
        columns = torch.arange(s, device=counts.device)
        live = (columns >= (prefix.first + self.sinks)[:, None]) & ~short[:, None]
        first = starts(self.seed, counts.tolist(), 2**self.n_bits).to(counts.device)
        first = (first + (prefix.first + self.sinks)[:, None]).clamp_max(s - 1)[:, None].expand(-1, self.n_subvec, -1)
        key = (Codes, self.sinks, self.n_subvec, self.n_bits, self.max_iter, self.seed)
        learnt = prefix.once(key, lambda: Codes.learnt(prefix.k, live, first, self.max_iter))
        return Coded(learnt.with_room(prefix.decode_steps), prefix.first, short.nonzero()[:, 0], s)

    def attend(self, step: Step, state: Coded) -> Tensor:
        """Code the token that leaves the window, choose by codes, attend; rows without codes attend to everything."""
        end = step.length - 1 - self.window  # the window's first column
        if end > state.prompt:
            state.codes.add(step.k[:, :, end - 1], end - 1)
        output = torch.empty_like(step.q)
        if len(state.short) < len(output):
            output = self._attend_to_best(step, state, max(0, end))
        if len(state.short):
            of = step.of_rows(state.short)
            output[state.short] = softmax(of.scores(of.q, of.k), of.mask[:, :, None]).to(of.v.dtype) @ of.v
        return output

    def _attend_to_best(self, step: Step, state: Coded, end: int) -> Tensor:
        """Attend to the sinks, the window, and of the columns between those that codes prefer."""
        b, h, n, _ = step.k.shape
        columns = torch.arange(n, device=step.k.device)
        origin = state.first[:, None] + self.sinks
        candidate = ((columns[:end] >= origin) & step.mask[:, 0, :end])[:, None]
        if end - self.sinks > self.k:
            weights = softmax(state.codes.logits(step.q, step.scores, end), candidate[:, :, None]).sum(2)
        else:  # all of them are kept
            weights = candidate.expand(-1, h, -1).to(step.q.dtype)
        chosen = top_newest(weights.masked_fill(~candidate, -torch.inf), self.k)
        sinks = state.first[:, None] + columns[: self.sinks]
        ends = torch.cat([sinks, columns[end:].expand(b, -1)], -1)[:, None].expand(b, h, -1)
        live = torch.cat([sinks < end, torch.ones_like(columns[end:], dtype=torch.bool).expand(b, -1)], -1)
        index = torch.cat([ends.clamp_max(n - 1), chosen], -1)
        kept = candidate.expand(-1, h, -1).gather(2, chosen)
        return attend_to(step, index, torch.cat([live[:, None].expand(b, h, -1), kept], -1))[0]

    def cost(self, at: LayerAt) -> Cost:
        """Count codes in their bits, 2^n_bits D for centroids, D to code a key, 2D for each token kept; 2D written.

        The released code moves codes as integers of 64 bits; here they are packed. They are held besides, as are the
        centroids.
        """
        if at.prompt - self.sinks <= 2**self.n_bits:
            return dense_cost(at)
        code, centroids = self.n_subvec * self.n_bits, at.keys(2**self.n_bits)
        old = max(0, at.n - 1 - self.window - self.sinks)
        return Cost(
            choose=old * code + centroids + at.keys(1) if old > self.k else 0,
            attend=at.tokens(min(at.n, self.sinks + self.k + self.window + 1)),
            write=at.newest + code,
            held=at.cache + max(0, at.n - self.sinks) * code + centroids,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count codes as the integers of 64 bits that they are here, and centroids."""
        return at.n * self.n_subvec * 64 / ELEMENT + float(2**self.n_bits) * at.head_dim

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, and the window with it unless `recent` is given."""
        for layer in set(budget.layers):
            cls(**{**fixed, "k": 1})._check_width(layer.head_dim)
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)

    def _check_width(self, d: int) -> None:
        if d % self.n_subvec:
            raise InputError(f"PQCache needs n_subvec as a number that divides head dimension {d}, not {self.n_subvec}")
