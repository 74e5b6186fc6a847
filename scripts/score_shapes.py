"""Draws scores of a method and of dense in the shapes that compression leaves: most examples alike, a few lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Random = np.random.Generator


class Drawn(NamedTuple):
    """Holds scores of a method and of dense on the same examples."""

    values: Scores
    dense: Scores


Shape = Callable[[Random, int], Drawn]


def outcome(lost: int, won: int, examples: int) -> Drawn:
    """Make scores of 0 and 1 of which some are lost and some won."""
    values, dense = np.ones(examples), np.ones(examples)
    values[:lost], dense[lost : lost + won] = 0.0, 0.0
    return Drawn(values, dense)


def matches(losses: float, wins: float) -> Shape:
    """Draw scores of 0 and 1, of which shares are lost and won."""

    def draw(rng: Random, n: int) -> Drawn:
        lost, won, _ = rng.multinomial(n, (losses, wins, 1 - losses - wins))
        return outcome(int(lost), int(won), n)

    return draw


def rouge(share: float, noise: float = 0.0) -> Shape:
    """Draw scores around 0.25 that a share of outputs loses in part, while others move by some noise."""

    def draw(rng: Random, n: int) -> Drawn:
        dense = rng.beta(4, 12, n)
        moved = np.clip(dense + noise * rng.normal(size=n), 0, 1)
        return Drawn(np.where(rng.random(n) < share, 0.5 * rng.beta(1, 12, n), moved), dense)

    return draw


def characters(share: float) -> Shape:
    """Draw counts of characters up to 300, most of them the whole; a share of outputs breaks off somewhere."""

    def draw(rng: Random, n: int) -> Drawn:
        whole = rng.random(n) < 0.6
        dense = np.where(whole, rng.integers(256, 300, n), rng.integers(0, 256, n)).astype(float)
        return Drawn(np.where(rng.random(n) < share, np.floor(dense * rng.random(n)), dense), dense)

    return draw


def repeats(share: float) -> Shape:
    """Draw the means of four samples; a share of examples becomes half as likely to be solved."""

    def draw(rng: Random, n: int) -> Drawn:
        chance = rng.beta(0.5, 0.5, n)
        dense = rng.binomial(4, chance, n) / 4
        return Drawn(np.where(rng.random(n) < share, rng.binomial(4, chance / 2, n) / 4, dense), dense)

    return draw


def bits(change: Callable[[Random, int], Scores], share: float = 1.0, others: float = 0.0) -> Shape:
    """Draw bits per character, of which a share changes by a law and the others by some noise."""

    def draw(rng: Random, n: int) -> Drawn:
        dense = np.clip(rng.normal(0.95, 0.2, n), 0.3, None)
        moved = np.where(rng.random(n) < share, change(rng, n), others * rng.normal(size=n))
        return Drawn(dense + moved, dense)

    return draw


def exponential(scale: float) -> Callable[[Random, int], Scores]:
    """Make a law of losses of some mean."""
    return lambda rng, n: rng.exponential(scale, n)


SHAPES: dict[str, Shape] = {
    "ROUGE, 1 in 50 lost, the rest as dense": rouge(0.02),
    "ROUGE, 1 in 10 lost, the rest as dense": rouge(0.1),
    "ROUGE, 1 in 2 lost, the rest as dense": rouge(0.5),
    "ROUGE, 1 in 20 lost, the rest ± 0.03": rouge(0.05, 0.03),
    "ROUGE, 1 in 5 lost, the rest ± 0.03": rouge(0.2, 0.03),
    "characters, 1 in 20 break off": characters(0.05),
    "characters, 1 in 3 break off": characters(0.33),
    "characters, 9 in 10 break off": characters(0.9),
    "avg@4, 1 in 10 harder": repeats(0.1),
    "avg@4, 9 in 10 harder": repeats(0.9),
    "bits, 1 in 20 worse by 0.5, the rest as dense": bits(exponential(0.5), 0.05),
    "bits, all changed: normal": bits(lambda rng, n: rng.normal(0.02, 0.03, n)),
    "bits, all changed: Student's t of 3": bits(lambda rng, n: 0.01 * rng.standard_t(3, n)),
    "bits, all worse: exponential": bits(exponential(0.03)),
    "bits, all worse: log-normal": bits(lambda rng, n: 0.01 * np.exp(rng.normal(size=n))),
    "bits, all changed, 1 in 5 ten times as much": bits(exponential(0.1), 0.2, 0.01),
    "bits, all changed, 1 in 20 ten times as much": bits(exponential(0.1), 0.05, 0.01),
}
BEYOND: dict[str, Shape] = {
    "bits, all changed, 1 in 10 thirty times as much": bits(exponential(0.3), 0.1, 0.01),
    "bits, all changed, 1 in 20 fifty times as much": bits(exponential(0.5), 0.05, 0.01),
    "bits, all changed, 1 in 100 fifty times as much": bits(exponential(0.5), 0.01, 0.01),
}
"""Shapes of which few examples show nothing: what is large is too rare to have been seen."""
