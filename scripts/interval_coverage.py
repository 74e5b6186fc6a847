"""Writes the tables of docs/statistics.md: how often the interval of a paired difference holds the true one.

python scripts/interval_coverage.py: five minutes of one core. Seeded: the same tables each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import multinomial, t
from score_shapes import BEYOND, SHAPES, Shape, matches, outcome

from harness.tables.stats import LEVEL, paired_difference, paired_sample

PAGE = Path(__file__).parent.parent / "docs" / "statistics.md"
EXAMPLES = (4, 6, 10, 16, 30, 48, 100, 300, 1000)
RUNS = 1000
WIDTHS = 40
"""Runs whose widths are averaged."""
TRUTH = 2_000_000
"""Examples that stand for all that might be drawn."""
NEGLIGIBLE = 1e-8
EFFECTS = ((0.02, 0.0), (0.1, 0.0), (0.3, 0.0), (0.9, 0.0), (0.05, 0.05), (0.15, 0.05), (0.3, 0.2), (0.5, 0.5))
"""Shares of examples that the method loses and wins."""
SHOWN: dict[str, Shape] = {
    "0 or 1, nothing lost": matches(0, 0),
    "0 or 1, 1 in 10 lost": matches(0.1, 0),
    "0 or 1, 1 in 5 lost, 1 in 10 won": matches(0.2, 0.1),
    **{name: SHAPES[name] for name in ("ROUGE, 1 in 10 lost, the rest as dense", "bits, all changed: normal")},
}
"""Scores whose widths are shown."""
END = "<!-- end of table -->"


class Held(NamedTuple):
    """Holds the shares of runs in which our interval and Student's hold the true difference."""

    ours: float
    student: float


def exact_coverage(losses: float, wins: float, examples: int) -> float:
    """Sum the probabilities of all outcomes of 0/1 scores whose interval holds the true difference."""
    held = total = 0.0
    law = multinomial(examples, (losses, wins, 1 - losses - wins))
    for lost, won in _likely(losses, wins, examples):
        chance = float(law.pmf((lost, won, examples - lost - won)))
        if chance > NEGLIGIBLE:
            total += chance
            held += chance * _holds(lost, won, examples, wins - losses)
    return held / total


def coverage(shape: Shape, examples: int) -> Held:
    """Draw runs, and count those whose interval holds the true difference."""
    rng, true = np.random.default_rng(examples), _truth(shape)
    runs = [shape(rng, examples) for _ in range(RUNS)]
    differences = np.array([run.values - run.dense for run in runs])
    half = t.ppf(0.975, examples - 1) * differences.std(1, ddof=1) / math.sqrt(examples)
    ours = [paired_sample(*run).p_value(true) >= LEVEL for run in runs]
    return Held(float(np.mean(ours)), float(np.mean(np.abs(differences.mean(1) - true) <= half)))


def tables() -> dict[str, str]:
    """Make every table of the page, by the name that stands in its mark."""
    return {
        "scores of 0 and 1": exact_table(EXAMPLES),
        "other scores": simulated_table(SHAPES),
        "too rare to be seen": simulated_table(BEYOND),
        "widths": width_table(),
    }


def exact_table(sizes: tuple[int, ...]) -> str:
    """Write the coverage of scores of 0 and 1, computed, in percent."""
    lines = (
        [f"{losses:g}, {wins:g}", *(f"{100 * exact_coverage(losses, wins, n):.1f}" for n in sizes)]
        for losses, wins in EFFECTS
    )
    return _markdown(["lost, won", *(f"n = {n}" for n in sizes)], lines)


def simulated_table(shapes: Mapping[str, Shape]) -> str:
    """Write the coverage of other scores, and the least that Student's interval has, in percent."""
    lines = []
    for name, shape in shapes.items():
        found = [coverage(shape, n) for n in EXAMPLES]
        least = min(held.student for held in found)
        lines.append([name, *(f"{100 * held.ours:.1f}" for held in found), f"{100 * least:.0f}"])
    return _markdown(["scores", *(f"n = {n}" for n in EXAMPLES), "Student, least"], lines)


def width_table() -> str:
    """Write half the mean width of intervals, and of Student's."""
    lines = ([name, *(_half_widths(shape, n) for n in EXAMPLES)] for name, shape in SHOWN.items())
    return _markdown(["scores", *(f"n = {n}" for n in EXAMPLES)], lines)


def with_tables(text: str, made: Mapping[str, str]) -> str:
    """Return the page's text with tables made anew."""
    for name, table in made.items():
        before, rest = text.split(mark := f"<!-- {name}: scripts/interval_coverage.py -->\n")
        text = f"{before}{mark}{table}{END}{rest.split(END, 1)[1]}"
    return text


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables()), encoding="utf-8")


def _likely(losses: float, wins: float, examples: int) -> Iterator[tuple[int, int]]:
    """List counts of lost and won examples that lie within seven standard deviations."""
    lost, won = (_around(share, examples) for share in (losses, wins))
    return ((i, j) for i in lost for j in won if i + j <= examples)


def _around(share: float, examples: int) -> range:
    reach = 7 * math.sqrt(examples * share * (1 - share)) + 4 * (share > 0)
    return range(max(0, math.floor(examples * share - reach)), min(examples, math.ceil(examples * share + reach)) + 1)


@cache
def _holds(lost: int, won: int, examples: int, true: float) -> bool:
    return paired_sample(*outcome(lost, won, examples)).p_value(true) >= LEVEL


@cache
def _truth(shape: Shape) -> float:
    drawn = shape(np.random.default_rng(0), TRUTH)
    return float((drawn.values - drawn.dense).mean())


def _half_widths(shape: Shape, examples: int) -> str:
    rng = np.random.default_rng(examples)
    found = [paired_difference(*shape(rng, examples)) for _ in range(WIDTHS)]
    ours = np.mean([run.high - run.low for run in found]) / 2
    student = t.ppf(0.975, examples - 1) * np.mean([run.stderr for run in found])
    return f"{ours:.3f} ({student:.3f})"


def _markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    names = list(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (names, ["---"] * len(names), *lines))


if __name__ == "__main__":
    main()
