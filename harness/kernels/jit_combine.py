"""How partial outputs of exact attention become the output, mean of V included. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_launch import follow


@triton.jit
def finish(
    output, alpha, v_sum, out, live, row, column, d: tl.constexpr, g: tl.constexpr,
    share: tl.constexpr, mix: tl.constexpr,
):  # fmt: skip
    """Write output [rows, width], scaled by alpha [g] if `share`; what alpha leaves goes to the mean of V if `mix`."""
    inside = (row < g)[:, None] & (column < d)[None, :]
    if share:
        part = tl.load(alpha + row, mask=row < g, other=0.0)[:, None]
        output = output * part
        if mix:
            mean = tl.load(v_sum + column, mask=column < d, other=0.0).to(tl.float32) / live
            output += (1 - part) * mean[None, :]
    tl.store(out + row[:, None] * d + column[None, :], output.to(out.dtype.element_ty), mask=inside)


@triton.jit
def combine_kernel(
    partial, peak, total, starts, stops, alpha, v_sum, out, heads, parts,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, pad: tl.constexpr, share: tl.constexpr, mix: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * g]: merge the parts of one query head into out [B, H, g, d]."""
    follow(overlap)
    program = tl.program_id(0)
    head = program // g
    part = tl.arange(0, pad)
    column = tl.arange(0, width)
    place = (head * parts + part) * g + program % g
    peaks = tl.load(peak + place, mask=part < parts, other=-float("inf"))
    factor = tl.exp(peaks - tl.max(peaks, 0))
    mass = tl.sum(factor * tl.load(total + place, mask=part < parts, other=0.0), 0)
    inside = (part < parts)[:, None] & (column < d)[None, :]
    values = tl.load(partial + place[:, None] * d + column[None, :], mask=inside, other=0.0)
    output = (tl.sum(values * factor[:, None], 0) / mass)[None, :]
    live = tl.load(stops + head // heads) - tl.load(starts + head // heads)
    row = tl.arange(0, 1)
    finish(output, alpha + program, v_sum + head * d, out + program * d, live, row, column, d, 1, share, mix)
