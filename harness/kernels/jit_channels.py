"""SparQ, step 1: the query's largest channels, once per KV head. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_launch import follow
from harness.kernels.jit_select import choose, slots


@triton.jit
def pick_channels(
    q, packed, channel, temperature, masked, scale, r,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, whole: tl.constexpr,
):  # fmt: skip
    """Write the r channels with the largest sum of abs(q) over the group for one KV head.

    q [g, d]. channel [r] int32; packed [g, r] float32: the query at these channels. temperature [g] float32: what turns
    a sum over them into approximate logits. With `whole`, masked [g, d] is the query with zeros at the other channels.
    """
    column = tl.arange(0, width)
    inside = column < d
    magnitude = tl.where(inside, 0.0, -float("inf"))
    for i in tl.static_range(g):
        magnitude += tl.abs(tl.load(q + i * d + column, mask=inside, other=0.0).to(tl.float32))
    chosen = choose(magnitude, column, r, width - 1)
    slot = slots(chosen)
    tl.store(channel + slot, column, mask=chosen)
    for i in tl.static_range(g):
        row = tl.load(q + i * d + column, mask=inside, other=0.0)
        if whole:
            tl.store(masked + i * d + column, tl.where(chosen, row, 0.0), mask=inside)
        row = row.to(tl.float32)
        tl.store(packed + i * r + slot, row, mask=chosen)
        all_size = tl.sum(tl.abs(row), 0)
        part = tl.sum(tl.where(chosen, tl.abs(row), 0.0), 0)
        covered = tl.where(all_size > 0, part / tl.where(all_size > 0, all_size, 1.0), 1.0)
        tl.store(temperature + i, scale / tl.maximum(tl.sqrt(covered), 1e-6))


@triton.jit
def channels_kernel(
    q, packed, channel, temperature, masked, scale, r,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, whole: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]: q, masked [B, H, g, d]; packed [B, H, g, r]; channel [B, H, r]; temperature [B, H, g]."""
    follow(overlap)
    head = tl.program_id(0)
    pick_channels(
        q + head * g * d, packed + head * g * r, channel + head * r, temperature + head * g, masked + head * g * d,
        scale, r, g, d, width, whole,
    )  # fmt: skip
