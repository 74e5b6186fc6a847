"""All of SparQ in one program per KV head, for prompts that one program's registers hold. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_attend import attend_tokens
from harness.kernels.jit_channels import pick_channels
from harness.kernels.jit_combine import finish
from harness.kernels.jit_launch import follow, hold_back
from harness.kernels.jit_score import channel_logits, emit


@triton.jit
def fused_kernel(
    q, k, v, kt, starts, stops, v_sum, packed, channel, temperature, position, alpha, out,
    k_b, k_h, k_n, v_b, v_h, v_n, kt_b, kt_h, kt_d, capacity, heads, window, want, scale,
    r: tl.constexpr, g: tl.constexpr, rows: tl.constexpr, few: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    chunk: tl.constexpr, together: tl.constexpr, stages: tl.constexpr, covered: tl.constexpr,
    block: tl.constexpr, mix: tl.constexpr, wait: tl.constexpr,
    processors: tl.constexpr, resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]. What one stage writes for the next passes through the first-level cache; barriers order it.

    `rows` is the group padded for logits, `few` the group padded for the exact attention (tensor cores want 16).
    """
    head = tl.program_id(0)
    follow(overlap)
    hold_back(head, processors, resident, wait)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    start = tl.load(starts + batch)
    stop = tl.load(stops + batch)
    q += head * g * d
    packed += head * g * r
    channel += head * r
    temperature += head * g
    position += head * want
    alpha += head * g
    pick_channels(q, packed, channel, temperature, q, scale, r, g, d, width, False)
    tl.debug_barrier()
    token = tl.arange(0, chunk)
    logits = channel_logits(
        kt + batch * kt_b + inner * kt_h, packed, channel, temperature, tl.arange(0, chunk)[None, :],
        kt_d, capacity, r, r, g, rows, together, stages, covered,
    )  # fmt: skip
    emit(
        logits, tl.sum(logits, 0), token, 0, start, stop, window, want, position, position,
        alpha, alpha, alpha, alpha, alpha, g, rows, False, mix, False, 0,
    )  # fmt: skip
    tl.debug_barrier()
    near = tl.minimum(window, stop - start)
    count = near + tl.minimum(want, stop - start - near)
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    output, _, mass = attend_tokens(
        q, k, v, position, alpha, start, stop, near, 0, count, scale, k_n, v_n, want,
        g, few, d, width, block, True, False, 1,
    )  # fmt: skip
    row = tl.arange(0, few)
    column = tl.arange(0, width)
    finish(
        output / mass[:, None], alpha, v_sum + head * d, out + head * g * d, stop - start, row, column, d, g, mix, mix
    )
