"""The interval of a mean: scipy's exact ones where scores are 0 and 1, drawn weights elsewhere."""

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.tables.intervals import Sample

RANDOM = np.random.default_rng(3)
SEEN = {
    "four": np.array([-0.3, 0.0, 0.1, 0.1]),
    "most unchanged, a few lost": np.array([0.0] * 40 + [-0.9, -0.5, -0.1]),
    "all different": RANDOM.normal(0.05, 0.2, 100).clip(-1, 1),
    "all lost by the same": np.full(12, -0.25),
    "more than are worked on at once": RANDOM.normal(0.02, 0.1, 1000).clip(-1, 1),
}


def outcomes(losses, wins, examples):
    """Differences of 0/1 scores."""
    return np.array([-1.0] * losses + [1.0] * wins + [0.0] * (examples - losses - wins))


@pytest.mark.parametrize(
    ("losses", "wins", "examples"), [(4, 0, 48), (6, 0, 6), (10, 3, 30), (30, 10, 1000), (2, 5, 9)]
)
def test_the_p_value_of_wins_and_losses_is_mcnemars_exact_one(losses, wins, examples):
    found = Sample.of(outcomes(losses, wins, examples), -1, 1).p_value()
    assert found == pytest.approx(binomtest(losses, losses + wins).pvalue, abs=1e-8)


@pytest.mark.parametrize(("losses", "examples"), [(0, 4), (4, 4), (1, 4), (3, 48), (40, 1000), (700, 1000)])
def test_the_most_that_may_be_lost_where_nothing_is_won_is_clopper_and_pearsons(losses, examples):
    low, _ = Sample.of(outcomes(losses, 0, examples), -1, 1).interval()
    expected = binomtest(losses, examples).proportion_ci(0.95, method="exact")
    assert low == pytest.approx(-expected.high, abs=1e-6)


@pytest.mark.parametrize("seen", SEEN.values(), ids=list(SEEN))
def test_limits_are_quantiles_of_means_under_drawn_weights(seen):
    weights = np.random.default_rng(0).dirichlet(np.ones(len(seen) + 1), 20_000)
    low, high = Sample.of(seen, -1, 1).interval()
    assert np.mean(weights @ np.append(seen, -1) <= low) == pytest.approx(0.025, abs=0.005)
    assert np.mean(weights @ np.append(seen, 1) <= high) == pytest.approx(0.975, abs=0.005)


@pytest.mark.parametrize("seen", SEEN.values(), ids=list(SEEN))
def test_an_interval_ends_where_the_p_value_of_the_mean_is_five_percent(seen):
    sample = Sample.of(seen, -1, 1)
    for limit in sample.interval():
        assert sample.p_value(limit) == pytest.approx(0.05, abs=1e-5)


def test_an_interval_of_ten_thousand_examples_is_the_normal_one():
    seen = RANDOM.normal(0.01, 0.1, 10_000).clip(-1, 1)
    half = 1.96 * seen.std() / 100
    assert Sample.of(seen, -1, 1).interval() == pytest.approx((seen.mean() - half, seen.mean() + half), abs=0.1 * half)


def test_what_is_lost_on_every_example_may_be_all_there_is():
    assert Sample.of(outcomes(9, 0, 9), -1, 1).interval()[0] == -1


def test_scores_turned_round_have_the_interval_turned_round():
    seen = SEEN["most unchanged, a few lost"]
    low, high = Sample.of(seen, -1, 1).interval()
    assert Sample.of(-seen, -1, 1).interval() == pytest.approx((-high, -low), abs=1e-6)
