"""Labels tokens by few-bit codes of a few channels of their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import LayerPrefix
from harness.attention.index.channels import take_channels
from harness.attention.index.labels import label_codes
from harness.attention.packed.bits import pack
from harness.kernels.choice import TokenScores
from harness.kernels.labels.tiles import label_tiles
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap, processors
from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class CodedLabels:
    """Holds channels [B or 1, H, r] int32, and every token's label in codes of `bits` bits, by columns of the cache.

    codes [B, H, C, n] uint8, as harness/attention/packed has them, in whole words of four bytes; ends [B, H, C, 2], the
    least and the greatest entry of each label in the cache's type, in which they are exact.
    """

    channels: Tensor
    codes: Tensor
    ends: Tensor
    bits: int

    @classmethod
    def of(cls, prefix: LayerPrefix, channels: Tensor, bits: int) -> Self:
        """Label a prompt by channels [B or 1, H, 1, r], with room for the tokens to come."""
        entries = take_channels(prefix.k[:, :, None], channels)[:, :, 0]
        (b, h, s, r), room = entries.shape, entries.shape[2] + prefix.decode_steps
        codes = pack(pad(label_codes(entries, bits)[0], (0, -r % (32 // bits))), bits)
        held = cls(
            channels[:, :, 0].to(torch.int32).contiguous(),
            codes.new_zeros(b, h, room, codes.shape[3]),
            entries.new_zeros(b, h, room, 2),
            bits,
        )
        held.codes[:, :, :s] = codes
        held.ends[:, :, :s] = torch.stack(entries.aminmax(dim=3), 3)
        return held

    def scores(self, q: Tensor, cache: KVCache) -> TokenScores:
        """Label the newest key and q [B, H, G, D], and score all tokens, summed over the group."""
        from harness.kernels.labels.triton.code import score_codes_kernel  # needs Triton

        b, h, room, n = self.codes.shape
        query, scores = self._label(q, cache), TokenScores.empty(q, cache.longest)
        held = 2 * power(n // 4, 1)  # every word, and what is summed up of its codes
        tiles = label_tiles(b * h, cache.longest, held, scores.of, processors(q.device))
        score_codes_kernel[(b * h * tiles.parts,)](
            query, self.codes.view(torch.int32), self.ends, cache.padding, cache.kv_lengths, scores.score,
            scores.largest, h, tiles.parts, room, cache.longest, scores.groups, tiles.per_part, r=query.shape[2], n=n,
            pad=power(n // 4, 1), bits=self.bits, block=tiles.block, of=scores.of, stages=tiles.stages,
            num_warps=tiles.warps, **overlap(q.device),
        )  # fmt: skip
        return scores

    def _label(self, q: Tensor, cache: KVCache) -> Tensor:
        """Return the queries' labels, summed over the group, [B, H, r] float32; the newest key's is stored."""
        from harness.kernels.labels.triton.code import label_kernel  # needs Triton

        b, h, group, d = q.shape
        room, n = self.codes.shape[2:]
        r = self.channels.shape[2]
        query = torch.empty(b, h, r, dtype=torch.float32, device=q.device)
        shared = 0 if self.channels.shape[0] == 1 else self.channels.stride(0)
        label_kernel[(b * h,)](
            q, cache.k, self.channels, self.codes, self.ends, query, cache.kv_lengths, *cache.k.stride()[:3], shared,
            self.channels.stride(1), h, room, g=group, rows=power(group, 1), d=d, r=r, width=power(r), n=n,
            pad=power(n, 1), bits=self.bits, num_warps=4, **overlap(q.device),
        )  # fmt: skip
        return query
