"""Describes an attention layer: its shape, its prefilled prompt and one decode step, as a method sees them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torch import Tensor

from harness.attention.compressor import Compress
from harness.attention.rope import Rope
from harness.attention.scores import Scores
from harness.attention.statistics import Statistic
from harness.attention.weights import Projections

M = TypeVar("M")


@dataclass(frozen=True)
class LayerShape:
    """Describes an attention layer: KV heads, head dimension, and how many tokens it sees at most (None: all).

    A `chunked` layer sees those since the latest multiple of `window`, others the newest `window`. `group` counts the
    query heads of a KV head.
    """

    kv_heads: int
    head_dim: int
    window: int | None = None
    chunked: bool = False
    group: int = 1

    def visible(self, n: int) -> int:
        """Count the tokens that a query sees when n are cached."""
        if self.window is None:
            return n
        return (n - 1) % self.window + 1 if self.chunked else min(n, self.window)


@dataclass(frozen=True)
class LayerPrefix:
    """Holds what a layer hands to a method after the dense prefill. Read only, but for `shared` and `common`.

    k, v: [B, H, S, D] views of the cache, newest token last, zero at padding. mask: [B, 1, S] bool, False at padding.
    statistics: what the method's `observes` asked for (harness/attention/statistics). decode_steps: how many are to
    come. layer: this one's number of `layers`. rope: the layer's rotary embedding, for methods that need it.
    calibration: what the method learnt of this layer beforehand. weights: what its `reweigh` made of those of K and V,
    for methods that need them. shared: belongs to the decode stream, the same for all its layers; several steps of a
    layer may run before the next layer's. common: belongs to the layer, the same for all streams (see `once`). seen: of
    the mask, what the first decode step sees where that is less (see `visible`). compress: what the method's
    `compressor` does in this layer.
    """

    k: Tensor
    v: Tensor
    mask: Tensor
    decode_steps: int
    layer: int = 0
    layers: int = 1
    statistics: Mapping[Statistic, Tensor] = field(default_factory=dict)
    rope: Rope | None = None
    calibration: Any = None
    shared: dict[Any, Any] = field(default_factory=dict)
    weights: Projections | None = None
    common: dict[Any, Any] = field(default_factory=dict)
    seen: Tensor | None = None
    compress: Compress | None = None

    def once(self, key: Hashable, make: Callable[[], M]) -> M:
        """Return what `make` makes of the prompt, made once for all cells that ask under the same key. Read only."""
        if key not in self.common:
            self.common[key] = make()
        return self.common[key]  # type: ignore[no-any-return]

    @property
    def visible(self) -> Tensor:
        """Return the live tokens that a decode step can still see, [B, 1, S]: others a sliding window has dropped."""
        return self.mask if self.seen is None else self.seen

    @property
    def lengths(self) -> Tensor:
        """Count the live prompt tokens of each row, [B]."""
        return self.mask.sum((1, 2))

    @property
    def first(self) -> Tensor:
        """Return the column of each row's first live token, [B]: column c is at position c - first."""
        return self.mask.shape[-1] - self.lengths


@dataclass(frozen=True)
class Step:
    """Holds one decode step of one layer: q [B, H, G, D], k and v [B, H, N, D], mask [B, 1, N] bool.

    Padding is False in `mask` and zero in k and v. `scores` carries the architecture's softmax scale and soft-cap;
    `sliding` is True where a window makes old tokens leave `mask` again. Kernels alone are given k and v with free
    columns behind the newest token: `kv_lengths` [B] int32, a tensor on the device, counts the columns that are filled.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor
    scores: Scores
    sliding: bool = False
    kv_lengths: Tensor | None = None

    def of_rows(self, rows: Tensor) -> Step:
        """Return the step of some batch rows alone, by their numbers."""
        return replace(self, q=self.q[rows], k=self.k[rows], v=self.v[rows], mask=self.mask[rows])

    @property
    def newest_v(self) -> Tensor:
        """Return V of the newest token, [B, H, D]."""
        if self.kv_lengths is None:
            return self.v[:, :, -1]
        return self.v.index_select(2, self.kv_lengths[:1] - 1)[:, :, 0]

    @property
    def length(self) -> int:
        """Return N, the number of cached tokens, the newest included."""
        return self.k.shape[2]
