"""Holds the KV cache of a batch: prompts are written once, and each method's tokens in turn are put behind them.

Prompts are right-aligned, so the newest token of every row is in the same column and a view of the buffers is what a
decode step attends to. Shape legend: harness/attention/__init__.py; T is the number of decoded tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.attention.rope import Rope
from harness.attention.statistics import Statistic


@dataclass
class LayerCache:
    """Holds k and v [B, H, S + T, D] of one layer, and the statistics of its prefill, [B, ..., S] or [B, ...].

    `common` holds what methods made of the prompt, once for all that make the same of it.
    """

    k: Tensor
    v: Tensor
    statistics: dict[Statistic, Tensor] = field(default_factory=dict)
    common: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DecodedKV:
    """Holds the decoded tokens of one method in one layer: k and v [B, H, T, D], of which the first are filled."""

    k: Tensor
    v: Tensor


@dataclass(frozen=True)
class NewColumns:
    """Says where T new tokens go that follow `done` decoded ones.

    On the device: `columns` [T] int64 number them among the decoded tokens; `kv_lengths` [T, B] int32 count the columns
    of the cache that are filled once each has come.
    """

    done: int
    columns: Tensor
    kv_lengths: Tensor

    def to(self, device: torch.device) -> NewColumns:
        """Return the same on another device."""
        return NewColumns(self.done, self.columns.to(device), self.kv_lengths.to(device))


@dataclass(frozen=True)
class LiveColumns:
    """Says on one device what is live: `count` [B] of each prompt's tokens, `mask` [B, 1, S + T] False at padding."""

    count: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> LiveColumns:
        """Return the same on another device."""
        return LiveColumns(self.count.to(device), self.mask.to(device))


class PromptCache:
    """Holds the buffers of all layers for B prompts of `lengths` tokens, each with its number of decode `steps`.

    `prompt` is the longest length, `decode_steps` the most steps, `final` counts the tokens of every row at its end, if
    they are known. `ropes` are those of the layers, if any method needs them. A layer's buffers lie where its keys do;
    `device` is where the model takes its tokens, and `live` on any device is copied there once: a copy takes as long as
    the device has work.
    """

    def __init__(
        self,
        lengths: list[int],
        steps: list[int],
        device: torch.device,
        final: int | None = None,
        ropes: Sequence[Rope | None] = (),
    ) -> None:
        self.lengths = lengths
        self.ropes = ropes
        self.final = final
        self.decode_steps = max(steps)
        self.prompt = max(lengths)
        count = torch.tensor(lengths, device=device)
        self.device = count.device
        fed = [max(n, 1) - 1 for n in steps]  # the token of the last step is not
        self._last = count + torch.tensor(fed, device=device) - 1
        columns = torch.arange(self.prompt + self.decode_steps, device=device)
        self._live = {self.device: LiveColumns(count, (columns >= self.prompt - count[:, None])[:, None])}
        self.layers: dict[int, LayerCache] = {}
        self._densities: dict[int, Tensor] = {}

    def write(self, layer: int, rows: slice, k: Tensor, v: Tensor, statistics: Mapping[Statistic, Tensor]) -> None:
        """Store left-aligned prompts k and v [R, H, S', D] of some rows, with their statistics [R, ...]."""
        if layer not in self.layers:
            self.layers[layer] = self._allocate(k)
        cache = self.layers[layer]
        for i, row in enumerate(range(len(self.lengths))[rows]):
            n = self.lengths[row]
            columns = slice(self.prompt - n, self.prompt)
            cache.k[row, :, columns] = k[i, :, :n]
            cache.v[row, :, columns] = v[i, :, :n]
        for statistic, value in statistics.items():
            self._write_statistic(cache, rows, statistic, value)

    def note_density(self, layer: int, rows: slice, density: Tensor) -> None:
        """Note the share of query-key pairs [R] that a layer's prefill computed for some rows."""
        if layer not in self._densities:
            self._densities[layer] = density.new_ones(len(self.lengths))
        self._densities[layer][rows] = density

    def live(self, device: torch.device) -> LiveColumns:
        """Return what is live, on a device."""
        if device not in self._live:
            self._live[device] = self._live[self.device].to(device)
        return self._live[device]

    def rope(self, layer: int, device: torch.device) -> Rope | None:
        """Return a layer's rotary embedding on a device; None without one, and if no method needs any."""
        rope = self.ropes[layer] if self.ropes else None
        return rope and rope.to(device)

    @property
    def densities(self) -> list[float] | None:
        """Average over the layers what share of query-key pairs each row's prefill computed; None if it was dense."""
        if not self._densities:
            return None
        left_out = 1 - torch.stack([density.to(self.device) for density in self._densities.values()])
        return (1 - left_out.sum(0) / len(self.layers)).tolist()

    @property
    def head_dim(self) -> int:
        """Return the largest head dimension of any layer."""
        return max(layer.k.shape[3] for layer in self.layers.values())

    def positions(self, columns: Tensor) -> Tensor:
        """Return the positions [B, T] of new tokens in `columns` [T].

        A row that has ended keeps its last one: it is fed along with the others, and a model may know no position more.
        """
        return torch.minimum(self.live(self.device).count[:, None] + columns, self._last[:, None])

    def new_columns(self, done: int, columns: Tensor) -> NewColumns:
        """Place tokens numbered `columns` [T] among the decoded ones, of which there are `done`."""
        filled = (self.prompt + 1 + columns).int()
        return NewColumns(done, columns, filled[:, None].repeat(1, len(self.lengths)))

    def decoded_kv(self, layer: int) -> DecodedKV:
        """Allocate space for the tokens that one method decodes."""
        b, h, _, d = self.layers[layer].k.shape
        return DecodedKV(*(self.layers[layer].k.new_empty(2, b, h, self.decode_steps, d)))

    def _write_statistic(self, cache: LayerCache, rows: slice, statistic: Statistic, value: Tensor) -> None:
        """Store a statistic of left-aligned prompts: by token right-aligned like K, otherwise as it is."""
        if statistic not in cache.statistics:
            shape = (*value.shape[1:-1], self.prompt) if statistic.by_token else value.shape[1:]
            cache.statistics[statistic] = value.new_full((len(self.lengths), *shape), statistic.filler)
        stored = cache.statistics[statistic]
        if not statistic.by_token:
            stored[rows] = value
            return
        for of_row, out, n in zip(value, stored[rows], self.lengths[rows], strict=True):
            out[..., self.prompt - n :] = of_row[..., :n]

    def _allocate(self, like: Tensor) -> LayerCache:
        _, h, _, d = like.shape
        k, v = like.new_zeros(2, len(self.lengths), h, self.prompt + self.decode_steps, d)
        return LayerCache(k, v)
