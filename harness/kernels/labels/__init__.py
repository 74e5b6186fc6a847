"""Serves methods that keep a label of every key: scores labels, chooses the best tokens, attends exactly to them."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.index.labels import EXACT
from harness.kernels.binding import KernelBinding, LayerKernel
from harness.kernels.choice import TokenScores
from harness.kernels.choice.attend import attend_best
from harness.kernels.labels.coded import CodedLabels
from harness.kernels.labels.projected import ProjectedKeys
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query
from harness.methods.selection.double_sparsity import DoubleSparsity
from harness.methods.selection.loki import Loki


class Labels(Protocol):
    """Keeps a label of every token of a layer, by which tokens are scored."""

    def scores(self, q: Tensor, cache: KVCache) -> TokenScores:
        """Label the newest token, and score all for queries [B, H, G, D], summed over the group."""
        ...


def attend_by_labels(q: Tensor, cache: KVCache, labels: Labels, *, k: int, scale: float | None = None) -> Tensor:
    """Attend exactly, [B, H, G, D], to the k tokens whose labels score best; of equal scores the newest win.

    The newest token must be in the cache already; it competes like any other. A step may be repeated. Raises InputError
    where q does not fit the cache.
    """
    check_query(q, cache.k)
    q = q.contiguous()
    return attend_best(q, cache, labels.scores(q, cache), min(k, cache.longest), scale=scale)


def _bind_loki(m: Loki) -> KernelBinding | None:
    if m.per_query_head or m.r < 1 or m.k < 1:  # as many components, or tokens, as the data says
        return None

    def for_layer(prefix: LayerPrefix) -> LayerKernel:
        return partial(attend_by_labels, labels=ProjectedKeys.of(m.start(prefix)), k=int(m.k))

    return KernelBinding(for_layer)


def _bind_double_sparsity(m: DoubleSparsity) -> KernelBinding | None:
    if m.per_query_head:
        return None

    def for_layer(prefix: LayerPrefix) -> LayerKernel:
        state = m.start(prefix)
        exact = m.label_bits >= EXACT
        labels = ProjectedKeys.at_channels(state) if exact else CodedLabels.of(prefix, state.channels, m.label_bits)
        return partial(attend_by_labels, labels=labels, k=m.k)

    return KernelBinding(for_layer)


BINDINGS = {Loki: _bind_loki, DoubleSparsity: _bind_double_sparsity}
