"""Attends to tokens as if they stood at other positions than their own: side by side, or sinks behind near tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.prefill import Attended, LayerPrefill, attend_prompt
from harness.attention.rope import Rope
from harness.attention.scores import softmax
from harness.attention.selection import gather_mask, gather_tokens
from harness.attention.step import Step


def attend_moved(
    step: Step, rope: Rope, index: Tensor, by: Tensor, live: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attend exactly to the tokens at index [B, H or 1, K], of which the first M are moved towards the query.

    They go forward by so many positions, by [B, H or 1, M], back where it is negative. Those tokens count where `live`,
    as large as index, is True. Returns the output [B, H, G, D] and the weights [B, H, G, K].
    """
    keys, moved = gather_tokens(step.k, index), by.shape[-1]
    keys = torch.cat((rope.turn(keys[:, :, :moved], by), keys[:, :, moved:]), 2)
    mask = gather_mask(step.mask, index)
    if live is not None:
        mask = mask & live
    weights = softmax(step.scores(step.q, keys), mask[:, :, None])
    return weights.to(step.v.dtype) @ gather_tokens(step.v, index), weights


def closing_up(step: Step, index: Tensor) -> Tensor:
    """Count the positions by which tokens go forward to stand side by side, the last of them where it is.

    index [B, H or 1, K] ascends to the newest token; what the step does not see takes no place. The result is as large.
    """
    place = gather_mask(step.mask, index).cumsum(-1)
    return step.length - 1 - index - (place[..., -1:] - place)


@dataclass(frozen=True)
class Sinks:
    """Attends to the last `local` tokens where they are, and to the `initial` first before them, closer than they are.

    Among the sinks' positions, the query is as far as it sees tokens, but no further than `furthest`. The sinks are at
    positions 0, 1, 2, ... or, `together`, all at 0; all queries of a prompt then stand where its last one does.
    Positions count from the first token that a row sees.
    """

    initial: int
    local: int
    furthest: int
    together: bool = False

    def attend(self, step: Step, rope: Rope) -> Tensor:
        """Attend in a decode step, [B, H, G, D]."""
        seen = step.mask.sum(-1, keepdim=True)  # [B, 1, 1]: they are side by side up to the newest
        sink, newest = torch.arange(self.initial, device=seen.device), step.length - 1
        last = torch.arange(max(0, step.length - self.local), step.length, device=seen.device)
        column = step.length - seen + sink
        apart = self._query(seen) - self._sink(sink)
        index = torch.cat((column.clamp(max=newest), last.expand(len(seen), 1, -1)), -1)
        live = index < step.length - self.local
        live[..., self.initial :] = True
        return attend_moved(step, rope, index, newest - column - apart, live)[0]

    def attend_prompt(self, prompt: LayerPrefill) -> Attended:
        """Attend from every query of a prompt, in blocks of queries."""
        assert prompt.rope is not None
        rope = prompt.rope.to(prompt.k.device)
        token = torch.arange(prompt.k.shape[2], device=prompt.k.device)
        seen = prompt.live.sum(-1, keepdim=True) if self.together else token[None] + 1
        forth = (self._query(seen) - token)[:, None, None]  # [B or 1, 1, 1, S]
        sink = token[: self.initial]
        k = rope.turn(prompt.k[:, :, : self.initial], self._sink(sink) - sink)

        def attend(prompt: LayerPrefill, start: int, end: int, mask: Tensor) -> Tensor:
            first, few = max(0, start - self.local + 1), min(self.initial, end)
            q, near = prompt.q[:, :, :, start:end], self._near(token, start, end)
            far = prompt.scores(rope.turn(q, forth[..., start:end]), k[:, :, None, :few])
            logits = torch.cat((far, prompt.scores(q, prompt.k[:, :, None, first:end])), -1)
            mask = torch.cat(((mask & ~near)[..., :few], (mask & near)[..., first:]), -1)
            values = torch.cat((prompt.v[:, :, :few], prompt.v[:, :, first:end]), 2)
            return softmax(logits, mask).to(values.dtype) @ values[:, :, None]

        def pattern(start: int, end: int) -> Tensor:
            return ((token[:end] < self.initial) | self._near(token, start, end))[None, None, None]

        return attend_prompt(prompt, pattern, attend)

    def _near(self, token: Tensor, start: int, end: int) -> Tensor:
        """Return which tokens are among the last of queries start .. end - 1, [Q, end] bool."""
        return token[start:end, None] - token[:end] < self.local

    def _query(self, seen: Tensor) -> Tensor:
        return (seen - 1).clamp(max=self.furthest)

    def _sink(self, number: Tensor) -> Tensor:
        return torch.zeros_like(number) if self.together else number
