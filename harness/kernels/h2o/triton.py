"""Adds the last step's weights to H2O's scores and evicts the worst token. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import with_mass
from harness.kernels.shared.triton.launch import follow


@triton.jit
def logit_mass(logit, places, block: tl.constexpr):
    """Return the largest of logit [places], 0 if all are -inf, and the sum of exp of all relative to it."""
    best = tl.full([1], -float("inf"), tl.float32)
    mass = tl.zeros([1], tl.float32)
    for first in range(0, places, block):
        place = first + tl.arange(0, block)
        best, mass = with_mass(best, mass, tl.load(logit + place, mask=place < places, other=-float("inf"))[None, :])
    return tl.sum(tl.where(best > -float("inf"), best, 0.0), 0), tl.sum(mass, 0)


@triton.jit
def add_weights(score, logit, places, g: tl.constexpr, block: tl.constexpr):
    """Add to score [places] the softmax of logit [g, places] over the places, averaged over g."""
    for i in tl.static_range(g):
        best, mass = logit_mass(logit + i * places, places, block)
        share = 1 / (tl.where(mass > 0, mass, 1.0) * g)
        for first in range(0, places, block):
            place = first + tl.arange(0, block)
            inside = place < places
            weight = tl.exp(tl.load(logit + i * places + place, mask=inside, other=-float("inf")) - best)
            tl.store(score + place, tl.load(score + place, mask=inside, other=0.0) + weight * share, mask=inside)
        tl.debug_barrier()


@triton.jit
def worst_place(column, score, places, start, newest, local, block: tl.constexpr):
    """Return the place to give away: a free one or padding first, none of age <= local; of equal scores the oldest.

    A place that holds the newest token already goes before all others.
    """
    worst = tl.full((), float("inf"), tl.float32)
    eldest = tl.full((), -2, tl.int32)
    freed = tl.zeros((), tl.int32)
    for first in range(0, places, block):
        place = first + tl.arange(0, block)
        inside = place < places
        held = tl.load(column + place, mask=inside, other=0)
        worth = tl.load(score + place, mask=inside, other=float("inf"))
        worth = tl.where(newest - held <= local, float("inf"), worth)
        worth = tl.where((held < start) | (held >= newest), -float("inf"), worth)
        worth = tl.where(inside, worth, float("inf"))
        age = tl.where(inside, tl.where(held >= newest, newest + 2, newest - held), -1)
        least = tl.min(worth, 0)
        oldest = tl.max(tl.where(worth == least, age, -1), 0)
        here = tl.min(tl.where((worth == least) & (age == oldest), place, places), 0)
        better = (least < worst) | ((least == worst) & (oldest > eldest))
        worst = tl.where(better, least, worst)
        freed = tl.where(better, here, freed)
        eldest = tl.where(better, oldest, eldest)
    return freed


@triton.jit
def admit_kernel(
    column, score, logit, starts, stops, heads, places, local,
    g: tl.constexpr, block: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Give the newest token the place in column, score [B, H, places] of the worst token. Grid [B * H].

    Before that, the weights of logit [B, H, g, places] are added to score (add_weights). A step may be repeated.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    newest = tl.load(stops + head // heads) - 1
    column += head.to(tl.int64) * places
    score += head.to(tl.int64) * places
    add_weights(score, logit + head.to(tl.int64) * g * places, places, g, block)
    freed = worst_place(column, score, places, start, newest, local, block)
    tl.store(score + freed, 0.0)
    tl.store(column + freed, newest)
