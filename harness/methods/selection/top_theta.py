"""Uses the tokens whose weight passes a threshold, and gives what the others lose to the mean of V: Top-Theta."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Meter, Step, columns_of, gather_tokens, softmax
from harness.attention.calibration import ThresholdCalibrator, Thresholds, threshold_of
from harness.attention.statistics import LargestWeight, Statistic
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Amount, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["TopTheta"]


@dataclass
class Passing:
    """Holds the threshold [B, H, G] of a query that sees so many tokens [B], and the running mean of V."""

    threshold: Callable[[Tensor], Tensor]
    mean: MeanValue | None
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, kw_only=True)
class TopTheta(Method[Passing]):
    """Keeps the tokens whose weight (or logit: `placement`) is above a threshold that about k passed in the past.

    `thresholds` are "calibrated" by query head and by length on the task's first `calibration_prompts`, or (ours, no
    training data) those of the last `prompt_rows` queries of the row's own prompt, which a prompt of no more than k
    tokens does not have: then all pass. post_softmax keeps weights as they are, and `v_mean_compensation` gives what is
    lost to the mean of all V; pre_softmax renormalises over what is kept, and where nothing passes weighs all tokens
    alike, as released. `cap_k` lets the newest k pass at most. A KV head keeps the union of its query heads' tokens for
    all of them, unless `per_query_head` (released). With k from the number of tokens on it is dense. The paper has
    another k in layers 0 and 1; softmax denominator compensation does nothing while decoding in the released code.
    """

    about: ClassVar[About] = About(
        title="Top-Theta",
        access="keys",
        paper=Paper(
            title="Top-Theta Attention: Sparsifying Transformers by Compensated Thresholding",
            authors="Konstantin Berestizshevsky, Lukas Cavigelli, Renzo Andri",
            venue="ICANN",
            year=2026,
            arxiv="2502.08363",
        ),
        note="thresholds from the prompt by default, not from a calibration text; one k in all layers, and the union "
        "of a group's tokens for each of its query heads",
    )
    measured: ClassVar[bool] = True  # how many tokens pass depends on the data
    excused: ClassVar[Mapping[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "queries of the prompt saw them, and set thresholds"
    }

    k: Size
    placement: Literal["post_softmax", "pre_softmax"] = "post_softmax"
    v_mean_compensation: bool = True
    cap_k: bool = False
    calib_add_sigma: Amount = 0.1
    thresholds: Literal["prompt", "calibrated"] = "prompt"
    prompt_rows: Size = 32
    per_query_head: bool = False
    calibration_prompts: Size = 8

    @property
    def _largest(self) -> LargestWeight:
        return LargestWeight(self.k, self.placement == "pre_softmax", self.prompt_rows)

    @property
    def observes(self) -> frozenset[Statistic]:
        """Ask for the thresholds of the prompt's last queries, if they are used."""
        return frozenset({self._largest} if self.thresholds == "prompt" else ())

    @property
    def calibrator(self) -> ThresholdCalibrator | None:
        """Find thresholds beforehand, unless the prompt's are used."""
        if self.thresholds == "prompt":
            return None
        return ThresholdCalibrator(
            self.calibration_prompts, self.k, self.placement == "pre_softmax", self.calib_add_sigma
        )

    @property
    def _compensates(self) -> bool:
        """Return True if weight is lost, and given to the mean of V."""
        return self.v_mean_compensation and self.placement == "post_softmax"

    def start(self, prefix: LayerPrefix) -> Passing:
        """Take the thresholds, and start the running sum of V if lost weight goes there."""
        mean = MeanValue(prefix) if self._compensates else None
        if self.thresholds == "calibrated":
            return Passing(self._table(prefix.calibration), mean)
        own = threshold_of(prefix.statistics[self._largest], self.calib_add_sigma)
        return Passing(lambda _: own, mean)

    def _table(self, table: Thresholds) -> Callable[[Tensor], Tensor]:
        """Look thresholds up. Raises InputError where one is needed and no calibrating query saw more than k tokens."""

        def threshold(seen: Tensor) -> Tensor:
            if not len(table.lengths):
                if (seen > self.k).any():
                    raise InputError(f"no calibrating prompt has more than k={self.k} tokens: lower k")
                return table.values.new_zeros(len(seen), *table.values.shape[:2])
            return table.at(seen)

        return threshold

    def attend(self, step: Step, state: Passing) -> Tensor:
        """Weigh all of K, find what passes, and read the rows of V of what is kept."""
        weights, kept = self._weighed(step, state)
        index, live = columns_of(kept.any(2))
        state.meter.note(self._moved(step, live))
        chosen = index[:, :, None].expand(-1, -1, weights.shape[2], -1)
        weights = weights.gather(3, chosen) * live[:, :, None]
        output = weights.to(step.v.dtype) @ gather_tokens(step.v, index)
        if state.mean is None:
            return output
        lost = 1 - weights.sum(3, keepdim=True)
        return (output + lost * state.mean.update(step)[:, :, None]).to(output.dtype)

    def _weighed(self, step: Step, state: Passing) -> tuple[Tensor, Tensor]:
        """Return the weights [B, H, G, N], zero where nothing is kept, and what is kept, [B, H, G or 1, N]."""
        logits, mask = step.scores(step.q, step.k), step.mask[:, :, None]
        if self.placement == "post_softmax":
            weights = softmax(logits, mask)
            kept = self._passing(step, weights, state)
            return weights.masked_fill(~kept, 0), kept
        kept = self._passing(step, logits, state)
        none = ~kept.any(-1, keepdim=True)
        kept = kept | (none & mask)
        return softmax(logits.masked_fill(none, 0), kept), kept

    def _passing(self, step: Step, values: Tensor, state: Passing) -> Tensor:
        """Return what is above the thresholds of values [B, H, G, N]: each query head's, or the union of a group's."""
        seen = step.mask.sum((1, 2))
        threshold = state.threshold(seen).masked_fill((seen <= self.k)[:, None, None], -torch.inf)
        passing = (values > threshold[..., None]) & step.mask[:, :, None]
        if self.cap_k:
            passing = passing & (passing.flip(-1).cumsum(-1).flip(-1) <= self.k)
        return passing if self.per_query_head else passing.any(2, keepdim=True)

    def _moved(self, step: Step, live: Tensor) -> Tensor:
        """Count the bits [B, H] of a step in which so many rows of V, [B, H, K] bool, were read."""
        rows = step.mask.sum(-1) + live.sum(-1) + 2 + 2 * self._compensates
        return rows * step.k.shape[3] * ELEMENT

    def cost(self, at: LayerAt) -> Cost:
        """Count nD + kD + 2D elements, and 2D more for the running mean of V: as if exactly k passed in each KV head.

        A step reads the rows of V that pass, which is measured: of a group's union more than k.
        """
        mean = at.keys(1) if self._compensates else 0
        attend = at.keys(min(self.k, at.n)) + mean
        return Cost(choose=at.keys(at.n), attend=attend, write=at.newest + mean, held=at.cache + mean)

    def meter(self, state: Passing) -> Meter:
        """Return what counted the rows of V."""
        return state.meter

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, as if exactly k passed; nothing above ratio 2 can be reached, for K is always read whole."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
