"""Adds the last step's weights to H2O's scores and evicts the worst token. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow


@triton.jit
def admit_kernel(
    column, score, logit, starts, stops, heads, places, local,
    g: tl.constexpr, pad: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Give the newest token the place in column, score [B, H, places] of the worst token. Grid [B * H].

    Before that, the softmax of logit [B, H, g, places], averaged over g, is added to score. Free places (-1) and
    padding go first, those of age <= local last; of equal scores the oldest goes. A place that holds the newest token
    already goes before all others, so that a step may be repeated.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    newest = tl.load(stops + head // heads) - 1
    place = tl.arange(0, pad)
    inside = place < places
    column += head.to(tl.int64) * places
    score += head.to(tl.int64) * places
    logit += head.to(tl.int64) * g * places
    held = tl.load(column + place, mask=inside, other=0)
    received = tl.load(score + place, mask=inside, other=0.0)
    for i in tl.static_range(g):
        logits = tl.load(logit + i * places + place, mask=inside, other=-float("inf"))
        best = tl.max(logits, 0)
        weight = tl.exp(logits - tl.where(best > -float("inf"), best, 0.0))
        mass = tl.sum(weight, 0)
        received += weight / (tl.where(mass > 0, mass, 1.0) * g)
    worth = tl.where(newest - held <= local, float("inf"), received)
    worth = tl.where((held < start) | (held >= newest), -float("inf"), worth)
    worth = tl.where(inside, worth, float("inf"))
    age = tl.where(held >= newest, newest + 2, newest - held)
    age = tl.where(inside, age, -1)
    least = worth == tl.min(worth, 0)
    oldest = least & (age == tl.max(tl.where(least, age, -1), 0))
    freed = tl.min(tl.where(oldest, place, pad), 0)
    tl.store(score + place, tl.where(place == freed, 0.0, received), mask=inside)
    tl.store(column + place, newest, mask=inside & (place == freed))
