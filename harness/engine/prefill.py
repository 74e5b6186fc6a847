"""Computes a prompt's attention, dense and causal, while its KV cache is written and its statistics are gathered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from harness.attention.scores import softmax
from harness.attention.statistics import Observe, Statistic, observe
from harness.engine.cache import PromptCache
from harness.engine.model import LayerCall

BLOCK = 256


@dataclass(frozen=True)
class Prefill:
    """Attends within rows of left-aligned prompts: padding follows the prompt, where causality already hides it.

    `observe` gathers the statistics. `pattern` [S, S] bool narrows what each query sees, for methods that mask the
    prompt too.
    """

    cache: PromptCache
    rows: slice
    observes: frozenset[Statistic]
    observe: Observe = observe
    pattern: Tensor | None = None
    cached: int = 0

    @property
    def final(self) -> int | None:
        """Count the tokens of every row at its end, if they are known."""
        return self.cache.final

    def attend(self, call: LayerCall) -> Tensor:
        """Attend, then store keys, values and statistics of the layer."""
        r, hq, s, d = call.q.shape
        h = call.k.shape[1]
        window_mask = self._visible(call)
        grouped = call.q.view(r, h, hq // h, s, d)
        found = self.observe(self.observes, grouped, call.k, self._mask(call), call.scores, window_mask)
        self.cache.write(call.layer, self.rows, call.k, call.v, found)
        if call.scores.cap is not None:
            return _capped(call, grouped, window_mask).view(r, hq, s, d)
        return scaled_dot_product_attention(
            call.q,
            call.k,
            call.v,
            window_mask,
            is_causal=window_mask is None,
            scale=call.scores.scale,
            enable_gqa=hq != h,
        )

    def _mask(self, call: LayerCall) -> Tensor | None:
        """Return the attention mask [R, S] bool, or None without padding."""
        s = call.q.shape[2]
        if min(self.cache.lengths[self.rows]) == s:
            return None
        return torch.arange(s, device=call.q.device) < self.cache.count[self.rows, None]

    def _visible(self, call: LayerCall) -> Tensor | None:
        """Return what each query sees, [1, 1, S, S] bool, or None for plain causality."""
        if self.pattern is None:
            return call.window_mask
        s = call.q.shape[2]
        pattern = self.pattern[:s, :s][None, None]
        return pattern if call.window_mask is None else pattern & call.window_mask


def _capped(call: LayerCall, q: Tensor, window_mask: Tensor | None) -> Tensor:
    """Attend with soft-capped logits, in blocks of queries; q [R, H, G, S, D] -> the same shape."""
    s = q.shape[3]
    if window_mask is None:
        window_mask = torch.ones(1, 1, s, s, dtype=torch.bool, device=q.device).tril()
    blocks = []
    for start in range(0, s, BLOCK):
        end = min(start + BLOCK, s)
        logits = call.scores(q[:, :, :, start:end], call.k[:, :, None, :end])
        weights = softmax(logits, window_mask[:, :, None, start:end, :end])
        blocks.append(weights.to(call.v.dtype) @ call.v[:, :, None, :end])
    return torch.cat(blocks, 3)
