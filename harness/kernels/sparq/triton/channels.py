"""Chooses the query's largest channels once per KV head: SparQ, step 1. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def largest_channels(q, r, g: tl.constexpr, d: tl.constexpr, width: tl.constexpr):
    """Return a mask [width] of the r channels with the largest sum of abs(q) over the group, q [g, d]."""
    column = tl.arange(0, width)
    inside = column < d
    magnitude = tl.where(inside, 0.0, -float("inf"))
    for i in tl.static_range(g):
        magnitude += tl.abs(tl.load(q + i * d + column, mask=inside, other=0.0).to(tl.float32))
    return choose(magnitude, column, r, width - 1)


@triton.jit
def mask_query(q, chosen, masked, temperature, scale, g: tl.constexpr, d: tl.constexpr, width: tl.constexpr):
    """Write masked [g, d], the query with zeros at the other channels, and temperature [g] float32.

    The temperature turns products with the masked query into approximate logits.
    """
    column = tl.arange(0, width)
    inside = column < d
    for i in tl.static_range(g):
        row = tl.load(q + i * d + column, mask=inside, other=0.0)
        tl.store(masked + i * d + column, tl.where(chosen, row, 0.0), mask=inside)
        size = tl.abs(row.to(tl.float32))
        whole = tl.sum(size, 0)
        covered = tl.where(whole > 0, tl.sum(tl.where(chosen, size, 0.0), 0) / tl.where(whole > 0, whole, 1.0), 1.0)
        tl.store(temperature + i, scale / tl.maximum(tl.sqrt(covered), 1e-6))


@triton.jit
def list_channels(q, chosen, packed, channel, r, g: tl.constexpr, d: tl.constexpr, width: tl.constexpr):
    """Write channel [r] int32, the chosen channels, and packed [g, r] float32, the query there."""
    column = tl.arange(0, width)
    place = places(chosen)
    tl.store(channel + place, column, mask=chosen)
    for i in tl.static_range(g):
        row = tl.load(q + i * d + column, mask=chosen, other=0.0)
        tl.store(packed + i * r + place, row.to(tl.float32), mask=chosen)


@triton.jit
def prepare_query(
    q, packed, channel, temperature, masked, scale, r, g: tl.constexpr, d: tl.constexpr, width: tl.constexpr
):  # fmt: skip
    """Choose, mask and list the channels of one KV head; the program may read what this writes once it returns."""
    chosen = largest_channels(q, r, g, d, width)
    mask_query(q, chosen, masked, temperature, scale, g, d, width)
    list_channels(q, chosen, packed, channel, r, g, d, width)
    tl.debug_barrier()


@triton.jit
def prepare_kernel(
    q, packed, channel, temperature, masked, scale, r, g: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Write packed [B, H, g, r], channel [B, H, r], temperature [B, H, g] and masked [B, H, g, d]. Grid [B * H]."""
    follow(overlap)
    head = tl.program_id(0)
    prepare_query(
        q + head * g * d, packed + head * g * r, channel + head * r, temperature + head * g, masked + head * g * d,
        scale, r, g, d, width,
    )  # fmt: skip
