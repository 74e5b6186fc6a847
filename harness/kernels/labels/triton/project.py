"""Projects the queries and the newest key onto axes. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow


@triton.jit
def project_kernel(
    q, k, axes, label, query, stops, k_b, k_h, k_n, a_b, a_h, heads, room,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, r: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Write query [B, H, r], the sum of q [B, H, g, d] over the group along axes [B or 1, H, d, r]. Grid [B * H].

    The newest key becomes the label of its column, of label [B, H, room, r]. `block` channels are multiplied at once.
    """
    follow(overlap)
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    newest = (tl.load(stops + batch) - 1).to(tl.int64)
    q += head * g * d
    k += batch * k_b + inner * k_h + newest * k_n
    axes += batch * a_b + inner * a_h
    row = tl.arange(0, rows)[:, None]
    along = tl.arange(0, width)
    asked = tl.zeros([block, width], tl.float32)  # summed up once, after the loop
    kept = tl.zeros([block, width], tl.float32)
    for first in range(0, d, block):
        channel = first + tl.arange(0, block)
        live = (channel < d)[:, None] & (along < r)[None, :]
        axis = tl.load(axes + channel[:, None] * r + along[None, :], mask=live, other=0.0).to(tl.float32)
        queries = tl.load(q + row * d + channel[None, :], mask=(row < g) & (channel < d)[None, :], other=0.0)
        key = tl.load(k + channel, mask=channel < d, other=0.0).to(tl.float32)
        asked += tl.sum(queries.to(tl.float32), 0)[:, None] * axis
        kept += key[:, None] * axis
    tl.store(query + head * r + along, tl.sum(asked, 0), mask=along < r)
    label += (head.to(tl.int64) * room + newest) * r
    tl.store(label + along, tl.sum(kept, 0).to(label.dtype.element_ty), mask=along < r)
