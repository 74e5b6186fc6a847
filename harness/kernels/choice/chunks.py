"""Chooses the k best tokens among what programs chose of the chunks that they scored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.choice import Ends
from harness.kernels.shared.device import overlap
from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class ChunkChoices:
    """Holds the k best tokens of each chunk of `chunk` tokens, for kernels to write and to choose among.

    position [B, H, chunks, k] int32 are columns, key [B, H, chunks, k] float32 their scores. Where a chunk has fewer
    tokens older than the newest `window`, its first entries count.
    """

    position: Tensor
    key: Tensor
    chunk: int
    window: int

    @classmethod
    def empty(cls, q: Tensor, longest: int, chunk: int, k: int, window: int) -> ChunkChoices:
        """Allocate the choices among `longest` tokens for a query [B, H, G, D]."""
        shape = (*q.shape[:2], -(-longest // chunk), k)
        position = torch.empty(shape, dtype=torch.int32, device=q.device)
        return cls(position, torch.empty_like(position, dtype=torch.float32), chunk, window)

    @property
    def chunks(self) -> int:
        """Count the chunks per KV head."""
        return self.position.shape[2]

    def best(self, ends: Ends) -> Tensor:
        """Return the columns [B, H, k] int32 of the k best of all chunks."""
        if self.chunks == 1:
            return self.position[:, :, 0]
        from harness.kernels.choice.triton.merge import merge_kernel  # needs Triton

        b, h, chunks, k = self.position.shape
        index, candidates = torch.empty_like(self.position[:, :, 0]), power(chunks * k, 1024)
        merge_kernel[(b * h,)](
            self.position, self.key, ends.padding, ends.kv_lengths, index, h, chunks, self.window, k,
            chunk=self.chunk, candidates=candidates, num_warps=max(4, candidates // 512), **overlap(index.device),
        )  # fmt: skip
        return index
