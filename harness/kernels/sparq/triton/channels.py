"""Chooses the query's largest channels, per KV head or in each program: SparQ, step 1. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def prepare_query(q, packed, channel, temperature, masked, scale, r, d: tl.constexpr, width: tl.constexpr):
    """Choose, mask and list the channels of a single query head; the program may read what this writes once it returns.

    Writes what prepare_kernel does, by a search: comparing all pairs in each program takes longer.
    """
    column = tl.arange(0, width)
    inside = column < d
    query = tl.load(q + column, mask=inside, other=0.0)
    size = tl.abs(query.to(tl.float32))
    chosen = choose(tl.where(inside, size, -float("inf")), column, r, width - 1)
    place = places(chosen)
    tl.store(masked + column, tl.where(chosen, query, 0.0), mask=inside)
    tl.store(channel + place, column, mask=chosen)
    tl.store(packed + place, query.to(tl.float32), mask=chosen)
    whole = tl.sum(size, 0)
    covered = tl.where(whole > 0, tl.sum(tl.where(chosen, size, 0.0), 0) / tl.where(whole > 0, whole, 1.0), 1.0)
    tl.store(temperature, scale / tl.maximum(tl.sqrt(covered), 1e-6))
    tl.debug_barrier()


@triton.jit
def ranked(magnitude, width: tl.constexpr):
    """Return how many channels [width] come before each: those of larger magnitude and, if equal, of a larger number.

    All pairs are compared at once, which a launch of its own has the processors for.
    """
    column = tl.arange(0, width)
    larger = magnitude[None, :] > magnitude[:, None]
    tied = (magnitude[None, :] == magnitude[:, None]) & (column[None, :] > column[:, None])
    return tl.sum((larger | tied).to(tl.int32), 1)


@triton.jit
def prepare_kernel(
    q, packed, channel, temperature, masked, scale, r,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write packed [B, H, g, r], channel [B, H, r], temperature [B, H, g] and masked [B, H, g, d]. Grid [B * H]."""
    follow(overlap)
    head = tl.program_id(0)
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    inside = (row < g)[:, None] & (column < d)[None, :]
    place = row[:, None] * d + column[None, :]
    query = tl.load(q + head * g * d + place, mask=inside, other=0.0)
    size = tl.abs(query.to(tl.float32))
    rank = ranked(tl.where(column < d, tl.sum(size, 0), -float("inf")), width)
    chosen = (rank < r) & (column < d)
    tl.store(masked + head * g * d + place, tl.where(chosen[None, :], query, 0.0), mask=inside)
    tl.store(channel + head * r + rank, column, mask=chosen)
    packed += head * g * r + row[:, None] * r + rank[None, :]
    tl.store(packed, query.to(tl.float32), mask=inside & chosen[None, :])
    whole = tl.sum(size, 1)
    covered = tl.sum(tl.where(chosen[None, :], size, 0.0), 1) / tl.where(whole > 0, whole, 1.0)
    covered = tl.where(whole > 0, covered, 1.0)
    tl.store(temperature + head * g + row, scale / tl.maximum(tl.sqrt(covered), 1e-6), mask=row < g)
