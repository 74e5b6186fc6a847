"""Combines sums over parts: softmax mass (largest logit, sum of exp), output, mean of V. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow


@triton.jit
def whole_mass(peak, total, head, parts, row, g: tl.constexpr, pad: tl.constexpr):
    """Return a KV head's largest logit [rows] and sum of exp [rows] from peak and total [B, H, parts, g].

    Reads `pad` parts at a time; every place of the tile sums for itself until the end.
    """
    tops = tl.full([row.shape[0], pad], -float("inf"), tl.float32)
    masses = tl.zeros([row.shape[0], pad], tl.float32)
    for first in range(0, parts, pad):
        part = (first + tl.arange(0, pad))[None, :]
        inside = (row < g)[:, None] & (part < parts)
        where = (head * parts + part) * g + row[:, None]
        peaks = tl.load(peak + where, mask=inside, other=-float("inf"))
        sums = tl.load(total + where, mask=inside, other=0.0)
        higher = tl.maximum(tops, peaks)
        shift = tl.where(higher > -float("inf"), higher, 0.0)
        masses = masses * tl.exp(tops - shift) + sums * tl.exp(peaks - shift)
        tops = higher
    top = tl.where(row < g, tl.max(tops, 1), 0.0)
    return top, tl.where(row < g, tl.sum(masses * tl.exp(tops - top[:, None]), 1), 1.0)


@triton.jit
def with_mass(best, mass, logits):
    """Add logits [rows, columns] to the largest logit [rows] and the sum of exp [rows]; -inf adds nothing."""
    higher = tl.maximum(best, tl.max(logits, 1))
    shift = tl.where(higher > -float("inf"), higher, 0.0)
    return higher, mass * tl.exp(best - shift) + tl.sum(tl.exp(logits - shift[:, None]), 1)


@triton.jit
def mean_value(v_sum, live, column, d: tl.constexpr):
    """Return the mean [width] of the V of `live` tokens from their sum [d]."""
    return tl.load(v_sum + column, mask=column < d, other=0.0).to(tl.float32) / live


@triton.jit
def with_rest(output, held, whole, mean, mix: tl.constexpr):
    """Return output [rows, width] times held / whole [rows]; with `mix` the rest goes to the mean [width] of V.

    held and whole are summed in different orders, so that their quotient may pass 1 by a rounding of the logits.
    """
    alpha = tl.minimum(held / whole, 1.0)
    output = output * alpha[:, None]
    if mix:
        output += (1 - alpha)[:, None] * mean[None, :]
    return output


@triton.jit
def finish(
    output, held, whole, v_sum, out, live, row, column, d: tl.constexpr, g: tl.constexpr,
    share: tl.constexpr, mix: tl.constexpr,
):  # fmt: skip
    """Write output [rows, width]; with `share` times held / whole [rows], whose rest goes to the mean of V if `mix`."""
    if share:
        mean = held
        if mix:
            mean = mean_value(v_sum, live, column, d)
        output = with_rest(output, held, whole, mean, mix)
    inside = (row < g)[:, None] & (column < d)[None, :]
    tl.store(out + row[:, None] * d + column[None, :], output.to(out.dtype.element_ty), mask=inside)


@triton.jit
def combine_kernel(
    partial, best, mass, held, starts, stops, peak, total, v_sum, out, heads, parts, chunks,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, pad: tl.constexpr, pad_chunks: tl.constexpr,
    share: tl.constexpr, mix: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Merge the parts of every query head into out [B, H, g, d], `pad` at a time. Grid [B * H * g]."""
    follow(overlap)
    program = tl.program_id(0)
    head = program // g
    column = tl.arange(0, width)
    row = tl.arange(0, 1)
    top = tl.full((), -float("inf"), tl.float32)
    whole = tl.zeros((), tl.float32)
    kept = tl.zeros([1], tl.float32)
    output = tl.zeros([width], tl.float32)
    for first in range(0, parts, pad):
        part = first + tl.arange(0, pad)
        inside = part < parts
        place = (head * parts + part) * g + program % g
        bests = tl.load(best + place, mask=inside, other=-float("inf"))
        higher = tl.maximum(top, tl.max(bests, 0))
        shift = tl.where(higher > -float("inf"), higher, 0.0)  # the first parts may hold no token of this head
        factor = tl.exp(bests - shift)
        values = tl.load(
            partial + place[:, None] * d + column[None, :], mask=inside[:, None] & (column < d)[None, :], other=0.0
        )
        shrink = tl.exp(top - shift)
        output = output * shrink + tl.sum(values * factor[:, None], 0)
        whole = whole * shrink + tl.sum(factor * tl.load(mass + place, mask=inside, other=0.0), 0)
        if share:
            kept += tl.sum(tl.load(held + place, mask=inside, other=0.0), 0)
        top = higher
    everything = kept
    if share:
        _, everything = whole_mass(peak, total, head, chunks, row + program % g, g, pad_chunks)
    live = tl.load(stops + head // heads) - tl.load(starts + head // heads)
    output = (output / whole)[None, :]
    finish(output, kept, everything, v_sum + head * d, out + program * d, live, row, column, d, 1, share, mix)
