"""Runs all of SparQ in one program per KV head, while its registers hold the tokens. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import finish
from harness.kernels.shared.triton.launch import follow, hold_back
from harness.kernels.shared.triton.softmax import attend_entries, query_rows
from harness.kernels.sparq.triton.channels import prepare_query
from harness.kernels.sparq.triton.chunk import channel_logits, chosen_mass, softmax_mass
from harness.kernels.sparq.triton.store import store_older


@triton.jit
def fused_kernel(
    q, k, v, kt, starts, stops, v_sum, packed, channel, temperature, masked, position, key, scratch, out,
    k_b, k_h, k_n, v_b, v_h, v_n, kt_b, kt_h, kt_d, capacity, heads, window, count, scale,
    r: tl.constexpr, d: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr,
    stages: tl.constexpr, covered: tl.constexpr, slots: tl.constexpr, narrow: tl.constexpr, block: tl.constexpr,
    mix: tl.constexpr, wait: tl.constexpr, processors: tl.constexpr, resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Compute SparQ's output [B, H, 1, d]. Grid [B * H], one query head per KV head.

    What one stage writes for the next passes through the first-level cache.
    """
    head = tl.program_id(0)
    follow(overlap)
    hold_back(head, processors, resident, wait)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    start = tl.load(starts + batch)
    stop = tl.load(stops + batch)
    q += head * d
    packed += head * r
    channel += head * r
    temperature += head
    position += head * count
    key += head * count
    prepare_query(q, packed, channel, temperature, masked + head * d, scale, r, d, width)
    token = tl.arange(0, chunk)
    logits = channel_logits(
        kt + batch * kt_b + inner * kt_h, packed, channel, temperature, tl.arange(0, chunk)[None, :],
        kt_d, capacity, r, stages, covered,
    )  # fmt: skip
    top, whole, held = softmax_mass(logits, token, start, stop, window)
    score = tl.sum(logits, 0)
    scratch += head * 2 * slots
    found = store_older(position, key, scratch, score, token, 0, start, stop, window, count, slots, narrow)
    held += chosen_mass(key, found, top, slots)
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    query = query_rows(q, 1, 1, d, width)
    output, _, mass, _ = attend_entries(
        query, query, k, v, top, top, position, start, stop, window, count, scale, k_n, v_n, 1, 1, d, width, block,
        True, False, 1,
    )  # fmt: skip
    finish(
        output / mass[:, None], held, whole, v_sum + head * d, out + head * d, stop - start, tl.arange(0, 1),
        tl.arange(0, width), d, 1, mix, mix,
    )  # fmt: skip
