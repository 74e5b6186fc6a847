"""Standard errors, paired differences and the adjustment of p-values."""

import itertools
import math
from math import comb

import numpy as np
import pytest
from scipy.stats import sem

from harness.tables.stats import ENOUGH, holm, paired_difference, paired_sample, stderr


def lost(count, examples):
    """Scores of 1 of which some are lost, and the dense ones."""
    return np.array([0.0] * count + [1.0] * (examples - count)), np.ones(examples)


def test_the_standard_error_is_scipys():
    values = np.random.default_rng(0).normal(size=17)
    assert stderr(values) == pytest.approx(sem(values))
    assert math.isnan(stderr(np.array([3.0])))


def test_a_paired_difference_has_the_mean_and_error_of_the_differences():
    rng = np.random.default_rng(1)
    dense, shift = rng.normal(size=200) * 50, rng.normal(0.3, 0.1, size=200)
    found = paired_difference(dense + shift, dense)
    assert found.mean == pytest.approx(shift.mean())
    assert found.stderr == pytest.approx(sem(shift))


def test_of_many_scores_that_all_change_a_little_the_interval_is_less_than_twice_the_normal_one():
    rng = np.random.default_rng(1)
    dense, shift = rng.normal(size=200) * 50, rng.normal(0.3, 0.1, size=200)
    found = paired_difference(dense + shift, dense)
    normal = 2 * 1.96 * sem(shift)
    assert normal < found.high - found.low < 1.8 * normal


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([2.0], 1.0), ([2.0, math.inf], math.inf)])
def test_a_difference_without_spread_has_no_interval(values, mean):
    found = paired_difference(np.array(values), np.ones(len(values)))
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert all(map(math.isnan, (found.stderr, found.low, found.high, found.p_value)))


def test_three_examples_have_an_error_but_no_interval():
    found = paired_difference(*lost(1, 3))
    assert found.stderr == pytest.approx(sem([1, 0, 0]))
    assert all(map(math.isnan, (found.low, found.high, found.p_value)))


@pytest.mark.parametrize("score", [0.0, 1.0, 0.37, 250.0])
def test_four_equal_scores_do_not_prove_that_nothing_is_lost(score):
    found = paired_difference(np.full(4, score), np.full(4, score))
    assert (found.mean, found.p_value) == (0, 1)
    # 1 - 0.025 ** (1 / 4) of what can be lost
    assert (found.low, found.high) == pytest.approx((-0.602365 * (score or 1), 0.602365 * (score or 1)), rel=1e-4)


@pytest.mark.parametrize("examples", [4, 10, 30, 100])
@pytest.mark.parametrize("loss", [0.02, 0.1, 0.3, 0.9])
def test_an_interval_of_scores_of_0_and_1_holds_a_true_loss_in_95_of_100_runs(examples, loss):
    chance = [comb(examples, k) * loss**k * (1 - loss) ** (examples - k) for k in range(examples + 1)]
    held = [p for k, p in enumerate(chance) if p > 1e-6 and paired_sample(*lost(k, examples)).p_value(-loss) >= 0.05]
    assert sum(held) >= 0.95


def a_few_lost(rng, examples):
    """Most outputs are dense's, a tenth lose their score or part of it."""
    dense = rng.beta(4, 12, examples)
    return np.where(rng.random(examples) < 0.1, dense * rng.random(examples), dense), dense


def all_changed(rng, examples):
    """Every score changes a little, most for the worse, some much."""
    dense = rng.normal(0.95, 0.1, examples)
    return dense + rng.exponential(0.03, examples), dense


@pytest.mark.parametrize("examples", [4, 10, ENOUGH])
@pytest.mark.parametrize(("shape", "truth"), [(a_few_lost, -0.1 * 0.25 * 0.5), (all_changed, 0.03)])
def test_an_interval_of_other_scores_holds_the_true_loss_in_93_of_100_runs(shape, truth, examples):
    rng = np.random.default_rng(5)
    held = [paired_sample(*shape(rng, examples)).p_value(truth) >= 0.05 for _ in range(200)]
    assert np.mean(held) >= 0.93


def closed(p_values, level):
    """Every comparison of which all sets that hold it are rejected (Bonferroni): Holm by its definition."""
    indices = range(len(p_values))
    sets = [s for size in indices for s in itertools.combinations(indices, size + 1)]
    return [all(min(p_values[j] for j in s) <= level / len(s) for s in sets if i in s) for i in indices]


@pytest.mark.parametrize("seed", range(5))
def test_comparisons_are_told_apart_as_by_a_closed_test(seed):
    p_values = np.random.default_rng(seed).random(6) ** 4
    assert [p <= 0.05 for p in holm(p_values)] == closed(p_values, 0.05)


def test_what_cannot_be_compared_counts_as_no_comparison():
    assert holm([0.03, math.nan, 0.02]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
