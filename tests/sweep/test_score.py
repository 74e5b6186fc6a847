"""A metric has one way of being summed up in a table, whatever cell it stands beside."""

from harness.evaluation.scores import Metric
from harness.sweep.score import _aggregates


def test_a_metric_that_is_no_mean_of_examples_under_one_cell_is_none_under_the_others():
    by_chance, no_mean = (
        Metric("group", "acc", True, 0.5, is_mean=True),
        Metric("group", "acc", True, 0.4, is_mean=False),
    )
    mean = Metric("member", "acc", True, 0.5, is_mean=True)
    found = _aggregates({"dense": [by_chance, mean], "sparq": [no_mean, mean]})
    assert found == {("group", "dense", "acc"): 0.5, ("group", "sparq", "acc"): 0.4}
