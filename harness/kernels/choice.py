"""What the kernels of a step leave for each other: the best tokens of chunks, and the softmax mass of all tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.cache import KVCache
from harness.kernels.plan import overlap, power


@dataclass(frozen=True)
class Mass:
    """The softmax mass of all live tokens by C programs per KV head: peak and total [B, H, C, G] float32.

    Where logits are approximate: masked [B, H, C, G, D], the query at the chosen channels, and temperature
    [B, H, C, G], what turns products with it into logits; each program's own, all alike.
    """

    peak: Tensor
    total: Tensor
    masked: Tensor | None = None
    temperature: Tensor | None = None

    @classmethod
    def empty(cls, q: Tensor, programs: int, approximate: bool) -> Mass:
        """Unwritten, for a query [B, H, G, D]."""
        b, h, group, d = q.shape
        peak, total, temperature = torch.empty(3, b, h, programs, group, dtype=torch.float32, device=q.device)
        if not approximate:
            return cls(peak, total)
        return cls(peak, total, q.new_empty(b, h, programs, group, d), temperature)


@dataclass(frozen=True)
class Candidates:
    """Chosen columns: position [B, H, chunks, want] int32, the best of each chunk of `chunk` tokens.

    Where a chunk has fewer live tokens older than the window, its first entries count. With more chunks than one, the
    best of all are still to be found by their scores, key [B, H, longest] float32.
    """

    position: Tensor
    key: Tensor
    chunk: int
    window: int

    @classmethod
    def of(cls, index: Tensor) -> Candidates:
        """Columns [B, H, K] int32 that are chosen for good."""
        return cls(index.contiguous()[:, :, None], index, 0, 0)

    @classmethod
    def empty(cls, key: Tensor, chunk: int, want: int, window: int) -> Candidates:
        """Unwritten positions for the scores key [B, H, longest]."""
        b, h, longest = key.shape
        position = torch.empty(b, h, -(-longest // chunk), want, dtype=torch.int32, device=key.device)
        return cls(position, key, chunk, window)

    @property
    def chunks(self) -> int:
        """Chunks per KV head; with one there is nothing to merge."""
        return self.position.shape[2]

    @property
    def want(self) -> int:
        """Columns to choose."""
        return self.position.shape[3]

    @property
    def entries(self) -> int:
        """What a merge looks at, padded; 0 without one."""
        return power(self.chunks * self.want) if self.chunks > 1 else 0

    def index(self) -> Tensor:
        """The chosen columns [B, H, want], to be written yet if there is a merge."""
        return self.position[:, :, 0] if self.chunks == 1 else torch.empty_like(self.position[:, :, 0])

    def merged(self, cache: KVCache) -> Candidates:
        """The best of all chunks, found by a kernel of its own."""
        if self.chunks == 1:
            return self
        from harness.kernels.jit_rank import merge_kernel  # needs Triton

        b, h, chunks, want = self.position.shape
        index = self.index()
        merge_kernel[(b * h,)](
            self.position, self.key, index, cache.start, cache.stop, h, chunks, self.key.shape[2], self.window, want,
            chunk=self.chunk, candidates=self.entries, num_warps=max(1, min(16, self.entries // 512)),
            **overlap(index.device),
        )  # fmt: skip
        return Candidates.of(index)
