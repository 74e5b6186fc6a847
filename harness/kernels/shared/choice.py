"""Holds what the kernels of a step leave for each other: the best tokens of chunks, the softmax mass of all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap
from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class SparseQuery:
    """Holds a query with zeros at all but some channels, whose products with keys are approximate logits.

    masked [B, H, P, G, D]; temperature [B, H, P, G] float32 turns products into logits. Each of P programs per KV head
    has written a copy of its own, all alike; P is 1 where one launch prepared the query for all programs.
    """

    masked: Tensor
    temperature: Tensor

    @property
    def copies(self) -> int:
        """Return P."""
        return self.masked.shape[2]


@dataclass(frozen=True)
class SoftmaxMass:
    """Holds what the softmax over all live tokens divides by, in partial results of P programs per KV head.

    peak and total [B, H, P, G] float32 are the largest logit and the sum of exp(logit - peak). The logits are those of
    `approximate` if that is given, else the exact ones. kept [B, H, 1, G]: the same sum over the kept tokens, if known.
    """

    peak: Tensor
    total: Tensor
    approximate: SparseQuery | None = None
    kept: Tensor | None = None

    @classmethod
    def empty(
        cls, q: Tensor, programs: int, approximate: SparseQuery | None = None, knows_kept: bool = False
    ) -> SoftmaxMass:
        """Allocate the mass for a query [B, H, G, D], for kernels to write."""
        b, h, group, _ = q.shape
        peak, total, kept = torch.empty(3, b, h, programs, group, dtype=torch.float32, device=q.device)
        return cls(peak, total, approximate, kept if knows_kept else None)


@dataclass(frozen=True)
class Candidates:
    """Holds chosen columns: position [B, H, chunks, k] int32, the best k of each chunk of `chunk` tokens.

    Where a chunk has fewer live tokens older than the window, its first entries count. With more chunks than one, the
    best of all are still to be found by their scores, key [B, H, chunks, k] float32. `independent`: the kernel that
    chooses them writes nothing that attention to the window reads, so that the two may run side by side.
    """

    position: Tensor
    key: Tensor | None
    chunk: int
    window: int
    independent: bool = False

    @classmethod
    def of(cls, index: Tensor, independent: bool = False) -> Candidates:
        """Return columns [B, H, K] int32 as candidates that are all chosen."""
        return cls(index.contiguous()[:, :, None], None, 0, 0, independent)

    @classmethod
    def empty(
        cls, like: Tensor, longest: int, chunk: int, k: int, window: int, independent: bool = False
    ) -> Candidates:
        """Allocate the candidates for a tensor [B, H, ...] and `longest` tokens, for kernels to write."""
        shape = (*like.shape[:2], -(-longest // chunk), k)
        key = torch.empty(shape, dtype=torch.float32, device=like.device)
        return cls(torch.empty_like(key, dtype=torch.int32), key, chunk, window, independent)

    @property
    def chunks(self) -> int:
        """Count the chunks per KV head; with one there is nothing to merge."""
        return self.position.shape[2]

    @property
    def k(self) -> int:
        """Return how many columns are chosen."""
        return self.position.shape[3]

    @property
    def slots(self) -> int:
        """Count the places for a chunk's first, narrower choice."""
        return power(self.k + self.k // 2 + 32)

    @property
    def entries(self) -> int:
        """Count what a merge looks at, padded to a power of two; 0 if there is nothing to merge."""
        return power(self.chunks * self.k) if self.chunks > 1 else 0

    @property
    def scores(self) -> Tensor:
        """Return the key, or any tensor where the columns are chosen already and kernels read no scores."""
        return self.position if self.key is None else self.key

    def scratch(self) -> Tensor:
        """Allocate space for the first choice of every chunk, [B, H, chunks, 2, slots] float32."""
        return self.position.new_empty(*self.position.shape[:3], 2, self.slots, dtype=torch.float32)

    def index(self) -> Tensor:
        """Return the chosen columns [B, H, k]; they are yet to be written if there is something to merge."""
        return self.position[:, :, 0] if self.chunks == 1 else torch.empty_like(self.position[:, :, 0])

    def merged(self, cache: KVCache) -> Candidates:
        """Find the best of all chunks by a launch of its own."""
        if self.chunks == 1:
            return self
        from harness.kernels.shared.triton.merge import merge_kernel  # needs Triton

        b, h, chunks, k = self.position.shape
        index = self.index()
        merge_kernel[(b * h,)](
            self.position, self.scores, index, cache.padding, cache.kv_lengths, h, chunks, self.window, k,
            chunk=self.chunk, candidates=self.entries, num_warps=max(1, min(16, self.entries // 512)),
            **overlap(index.device),
        )  # fmt: skip
        return Candidates.of(index, self.independent)
