"""Adds to what a format reads back of a chunk of tokens a product of two thin matrices, close to what it has lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.draws import uniform
from harness.attention.packed.held import Format, Held


@dataclass(frozen=True)
class Factors:
    """Finds thin factors of matrices, by so many `iterations` of the power method from a random start.

    Null is the truncated singular value decomposition. Draws depend on seed, layer, `of` (which matrices of a layer),
    KV head and a chunk's place alone. Source: GEAR, arXiv 2403.05527, section 4 and its released code.
    """

    rank: int
    iterations: int | None
    seed: int
    layer: int
    of: int

    def start(self, places: Sequence[int], heads: int, channels: int, device: torch.device) -> Tensor:
        """Draw the start [B, H, D, r] for chunks of rows that begin at places [B]."""
        row, head, channel, column = (
            torch.as_tensor(x, device=device).view(-1, *[1] * behind)
            for x, behind in zip((places, range(heads), range(channels), range(self.rank)), (3, 2, 1, 0), strict=True)
        )
        return uniform(self.seed, self.layer, self.of, row, head, channel, column)

    def of_matrices(self, x: Tensor, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return left [B, H, n, r] and right [B, H, r, D] whose product is close to x [B, H, n, D]."""
        rank = min(self.rank, *x.shape[2:])
        if self.iterations is None:
            left, values, right = torch.linalg.svd(x, full_matrices=False)
            return left[..., :rank] * values[..., None, :rank], right[..., :rank, :]
        right = self.start(places, x.shape[1], x.shape[3], x.device)[..., :rank].to(x.dtype)
        for _ in range(self.iterations - 1):
            right = x.transpose(2, 3) @ (x @ right)
            # the same columns up to a factor, which the last round's orthogonal ones do not have
            right = right / right.abs().amax((2, 3), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        left = torch.linalg.qr(x @ torch.linalg.qr(right).Q).Q
        return left, left.transpose(2, 3) @ x


@dataclass(frozen=True, eq=False)
class WithLowRank(Format):
    """Encodes chunks in another format, and what that loses of the tokens that are `live` [B, C] in thin factors."""

    form: Format
    factors: Factors
    live: Tensor

    def encode(self, x: Tensor) -> Held:
        """Return what is held of one chunk [B, H, C, D] that begins at place 0."""
        return self.encode_from(x, [0] * len(x))

    def encode_from(self, x: Tensor, places: Sequence[int]) -> Held:
        """Return what the other format holds of one chunk [B, H, C, D], and both factors."""
        held, x = self.form.encode(x), x.detach()
        precise = torch.promote_types(x.dtype, torch.float32)
        lost = x.to(precise) - self.form.decode(held).to(precise)
        thin = self.factors.of_matrices(lost.masked_fill(~self.live[:, None, :, None], 0), places)
        return *held, *(factor.to(x.dtype) for factor in thin)

    def decode(self, held: Held) -> Tensor:
        """Read back chunks, [B, H, m C, D]."""
        left, right = held[-2:]
        out = left.new_empty(*left.shape[:3], right.shape[3])
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back chunks into out [B, H, m C, D]."""
        *coded, left, right = held
        self.form.read_into(tuple(coded), out)
        count = left.shape[2] // self.live.shape[1]
        chunks, lefts, rights = (x.unflatten(2, (count, -1)) for x in (out, left, right))  # type: ignore[no-untyped-call]
        chunks += lefts @ rights
