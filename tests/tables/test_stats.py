"""The cheaper ways to a bootstrap interval give the interval that scipy's own, in full, gives."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from harness.tables.stats import FEW_VALUES, MANY_EXAMPLES, paired_difference

RANDOM = np.random.default_rng(3)
DIFFERENCES = {
    "matches of few examples": RANDOM.choice([-1.0, 0.0, 1.0], p=[0.2, 0.7, 0.1], size=24),
    "matches of many examples": RANDOM.choice([-1.0, 0.0, 1.0], p=[0.02, 0.97, 0.01], size=2000),
    "one loss": np.array([0.0] * 30 + [-1.0]),
    "as many values as are counted": RANDOM.choice(np.linspace(-1, 1, FEW_VALUES), size=300),
    "all different": RANDOM.normal(size=100),
    "all different, skewed, more than are resampled in full": RANDOM.exponential(size=MANY_EXAMPLES + 1),
}


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=list(DIFFERENCES))
def test_an_interval_is_scipys_percentile_bootstrap(difference):
    found = paired_difference(difference + 5.0, np.full(len(difference), 5.0))
    asked = {"n_resamples": 9999, "method": "percentile", "batch": 500}
    expected = bootstrap((difference,), np.mean, rng=np.random.default_rng(4), **asked).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.06 * width)
    assert found.high == pytest.approx(expected.high, abs=0.06 * width)
