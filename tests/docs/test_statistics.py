"""The page on error bars shows what its script computes, and promises no more than the tables show."""

import interval_coverage
import pytest
from score_shapes import SHAPES


def table(repository, name):
    """Lines of one of the page's tables, without its head."""
    page = (repository / "docs" / "statistics.md").read_text(encoding="utf-8")
    found = page.split(f"<!-- {name}: scripts/interval_coverage.py -->\n")[1].split(interval_coverage.END)[0]
    return [[entry.strip() for entry in line.strip("|").split("|")] for line in found.splitlines()[2:]]


@pytest.mark.parametrize("name", ["scores of 0 and 1", "other scores"])
def test_intervals_hold_the_true_difference_in_93_of_100_runs_for_every_shape_and_size(repository, name):
    lines = table(repository, name)
    assert len(lines) == {"other scores": len(SHAPES)}.get(name, len(interval_coverage.EFFECTS))
    sizes = len(interval_coverage.EXAMPLES)
    assert min(float(percent) for line in lines for percent in line[1 : 1 + sizes]) >= 93


def test_the_coverage_of_scores_of_0_and_1_is_what_the_script_computes(repository):
    sizes = interval_coverage.EXAMPLES[:5]
    made = interval_coverage.exact_table(sizes).splitlines()[2:]
    shown = [line[: 1 + len(sizes)] for line in table(repository, "scores of 0 and 1")]
    assert [[entry.strip() for entry in line.strip("|").split("|")] for line in made] == shown


@pytest.mark.parametrize("name", list(SHAPES)[::4])
def test_the_coverage_of_other_scores_is_about_what_the_script_draws(repository, name):
    shown = {line[0]: line[1:] for line in table(repository, "other scores")}
    at = interval_coverage.EXAMPLES.index(10)
    # Another numpy may draw other numbers: two standard errors and a half of both.
    assert 100 * interval_coverage.coverage(SHAPES[name], 10).ours == pytest.approx(float(shown[name][at]), abs=2.5)
