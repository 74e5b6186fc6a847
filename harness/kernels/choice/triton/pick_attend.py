"""Chooses a few tokens by stored scores and attends to them. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.choice.triton.pick import maxima, pick
from harness.kernels.shared.triton.combine import finish, mean_value, whole_mass, with_rest
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import attend_entries, query_rows


@triton.jit
def pick_attend_kernel(
    q, k, v, starts, stops, score, largest, listed, masked, temperature, peak, total, v_sum, out,
    k_b, k_h, k_n, v_b, v_h, v_n, heads, columns, groups, measured, window, count, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, pad: tl.constexpr, picked: tl.constexpr, of: tl.constexpr, share: tl.constexpr,
    approximate: tl.constexpr, mix: tl.constexpr, pad_chunks: tl.constexpr, stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Choose as pick_kernel, and attend from q [B, H, g, d] to the newest `window` tokens and these. Grid [B * H].

    With `share` the output is scaled by the share of the softmax mass that is kept, relative to peak and total
    [B, H, measured, g]; the kept mass is of `approximate` logits (masked [B, H, g, d], temperature [B, H, g]) or of
    exact ones. listed [B, H, picked + count] is the kernel's own. The launch before writes scores and mass alone: what
    else is read does not wait for it.
    """
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    start = tl.load(starts + batch)
    stop = tl.load(stops + batch)
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    query = query_rows(q + head * g * d, g, rows, d, width)
    sparse = query
    factor = tl.zeros([rows], tl.float32)
    top = factor
    whole = factor
    mean = factor
    if approximate:
        factor = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
        sparse = query_rows(masked + head * g * d, g, rows, d, width)
    if mix:
        mean = mean_value(v_sum + head * d, stop - start, column, d)
    follow(overlap)
    limit = tl.maximum(stop - window, start)
    maximum = maxima(largest + head.to(tl.int64) * groups, start, limit, of, pad)
    if share:
        top, whole = whole_mass(peak, total, head, measured, row, g, pad_chunks)
    listed += head.to(tl.int64) * (picked + count)
    index = listed + picked
    pick(score + head.to(tl.int64) * columns, maximum, listed, index, start, limit, count, picked, of)
    output, best, mass, held = attend_entries(
        query, sparse, k + batch * k_b + inner * k_h, v + batch * v_b + inner * v_h, factor, top, index, start, stop,
        window, count, scale, k_n, v_n, g, rows, d, width, block, newest, approximate, stages,
    )  # fmt: skip
    output = output / mass[:, None]
    if share:
        if not approximate:
            held = mass * tl.exp(best - top)
        output = with_rest(output, held, whole, mean, mix)
    finish(output, held, whole, v_sum, out + head * g * d, 1, row, column, d, g, False, False)
