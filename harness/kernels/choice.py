"""The best tokens of chunks, and their merge: what SparQ, FlexGen and the oracle share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.cache import KVCache
from harness.kernels.plan import overlap, power


@dataclass(frozen=True)
class Choice:
    """index [B, H, want] int32: chosen columns, unordered. alpha [B, H, G] float32: the softmax mass of all kept."""

    index: Tensor
    alpha: Tensor


@dataclass(frozen=True)
class Candidates:
    """What chunk programs write and the merge reads; with one chunk there is nothing to merge.

    position [B, H, chunks, want] int32: the best of each chunk. float32: key [B, H, longest], scores of all tokens;
    logit [B, H, G, longest] if they are `apart` from the scores; sums (peak, kept, total) [3, B, H, chunks, G]; alpha
    [B, H, G].
    """

    position: Tensor
    key: Tensor
    logit: Tensor
    sums: Tensor
    alpha: Tensor
    chunk: int
    apart: bool

    @classmethod
    def empty(cls, like: Tensor, longest: int, chunk: int, want: int, apart: bool) -> Candidates:
        """Unwritten buffers for a tensor [B, H, G, ...] of queries or logits; `apart`: logits are not the scores."""
        (b, h, group, _), device, chunks = like.shape, like.device, -(-longest // chunk)
        position = torch.empty(b, h, chunks, want, dtype=torch.int32, device=device)
        key = torch.empty((b, h, longest) if chunks > 1 else 1, dtype=torch.float32, device=device)
        logit = torch.empty((b, h, group, longest) if chunks > 1 and apart else 1, dtype=torch.float32, device=device)
        sums = torch.empty(3, b, h, chunks, group, dtype=torch.float32, device=device)
        alpha = torch.empty(b, h, group, dtype=torch.float32, device=device)
        return cls(position, key, logit, sums, alpha, chunk, apart)

    @property
    def chunks(self) -> int:
        """Chunks per KV head."""
        return self.position.shape[2]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The buffers in the order in which the kernels take them."""
        return self.position, self.key, self.logit, *self.sums, self.alpha

    def merge(self, cache: KVCache, window: int, mass: bool) -> Choice:
        """The best of all chunks; alpha is written only if `mass`."""
        b, h, chunks, want = self.position.shape
        if chunks == 1:
            return Choice(self.position[:, :, 0], self.alpha)
        from harness.kernels.jit_rank import merge_kernel  # needs Triton

        index = torch.empty(b, h, want, dtype=torch.int32, device=self.position.device)
        candidates = power(chunks * want)
        merge_kernel[(b * h,)](
            self.position, self.key, self.logit, *self.sums, cache.start, cache.stop, index, self.alpha, h, chunks,
            cache.longest, window, want, g=self.alpha.shape[2], chunk=self.chunk, candidates=candidates,
            pad=power(chunks, 1), mass=mass, apart=self.apart, num_warps=max(1, min(16, candidates // 512)),
            **overlap(index.device),
        )  # fmt: skip
        return Choice(index, self.alpha)
