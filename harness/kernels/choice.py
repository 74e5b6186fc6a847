"""What the kernels of a step leave for each other: the best tokens of chunks, and the softmax mass of all tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.cache import KVCache
from harness.kernels.channels import Channels
from harness.kernels.plan import overlap, power


@dataclass(frozen=True)
class Mass:
    """The softmax mass of all live tokens by C programs per KV head: peak and total [B, H, C, G] float32.

    Of approximate logits where there are `channels`. held [B, H, 1, G]: the mass of what is kept, where that is known.
    """

    peak: Tensor
    total: Tensor
    channels: Channels | None = None
    held: Tensor | None = None

    @classmethod
    def empty(cls, q: Tensor, programs: int, channels: Channels | None = None, known: bool = False) -> Mass:
        """Unwritten, for a query [B, H, G, D]."""
        b, h, group, _ = q.shape
        peak, total, held = torch.empty(3, b, h, programs, group, dtype=torch.float32, device=q.device)
        return cls(peak, total, channels, held if known else None)


@dataclass(frozen=True)
class Candidates:
    """Chosen columns: position [B, H, chunks, want] int32, the best of each chunk of `chunk` tokens.

    Where a chunk has fewer live tokens older than the window, its first entries count. With more chunks than one, the
    best of all are still to be found by their scores, key [B, H, chunks, want] float32. `alone`: the kernel that
    chooses them writes nothing that attention to the window reads, so that the two may run side by side.
    """

    position: Tensor
    key: Tensor
    chunk: int
    window: int
    alone: bool = False

    @classmethod
    def of(cls, index: Tensor, alone: bool = False) -> Candidates:
        """Columns [B, H, K] int32 that are chosen for good."""
        return cls(index.contiguous()[:, :, None], index, 0, 0, alone)  # nobody reads their scores

    @classmethod
    def empty(cls, like: Tensor, longest: int, chunk: int, want: int, window: int, alone: bool = False) -> Candidates:
        """Unwritten, for a tensor [B, H, ...] and `longest` tokens."""
        shape = (*like.shape[:2], -(-longest // chunk), want)
        key = torch.empty(shape, dtype=torch.float32, device=like.device)
        return cls(torch.empty_like(key, dtype=torch.int32), key, chunk, window, alone)

    @property
    def chunks(self) -> int:
        """Chunks per KV head; with one there is nothing to merge."""
        return self.position.shape[2]

    @property
    def want(self) -> int:
        """Columns to choose."""
        return self.position.shape[3]

    @property
    def room(self) -> int:
        """Of a first, rough choice in each chunk."""
        return power(self.want + self.want // 2 + 32)

    def rough(self) -> Tensor:
        """Scratch for it, [B, H, chunks, 2, room]."""
        return self.key.new_empty(*self.key.shape[:3], 2, self.room)

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
            self.position, self.key, index, cache.start, cache.stop, h, chunks, self.window, want,
            chunk=self.chunk, candidates=self.entries, num_warps=max(1, min(16, self.entries // 512)),
            **overlap(index.device),
        )  # fmt: skip
        return Candidates.of(index, self.alone)
