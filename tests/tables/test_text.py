"""Scores, differences and knobs as text."""

import math

import pandas as pd
import pytest

from harness.tables.text import decided, difference, digits, held, precision, reached, setting, with_error


@pytest.mark.parametrize(
    ("value", "stderr", "expected"),
    [
        (0.8333, 0.0167, "0.833 ± 0.017"),
        (0.5, math.nan, "0.500"),
        (math.nan, math.nan, "-"),
        (math.inf, 0.1, "-"),
        (0.5, math.inf, "0.500"),
    ],
)
def test_a_score_is_written_with_the_error_that_it_has(value, stderr, expected):
    assert with_error(value, stderr) == expected


@pytest.mark.parametrize(
    ("mean", "low", "high", "expected"),
    [
        (-0.3333, -0.6667, 0.0, "-0.333 [-0.667, +0.000]"),
        (0.25, math.nan, math.nan, "+0.250"),
        (math.nan, math.nan, math.nan, ""),
    ],
)
def test_a_difference_is_written_with_the_interval_that_it_has(mean, low, high, expected):
    assert difference({"delta_dense": mean, "delta_ci_low": low, "delta_ci_high": high}) == expected


@pytest.mark.parametrize(
    ("shares", "expected"), [([0.3125, 0.0], ", 0.31 decided by the first token"), ([0, math.nan], "")]
)
def test_the_share_that_first_tokens_decide_is_that_of_methods_that_leave_the_prefill_alone(shares, expected):
    assert decided(pd.DataFrame({"decided": shares})) == expected


def test_scores_above_ten_have_one_decimal():
    assert [digits(pd.Series(values)) for values in ([9.9, 0.1], [-10.0, 0.1], [math.nan])] == [3, 1, 3]
    assert with_error(12.345, 1.25, digits(pd.Series([12.345]))) == "12.3 ± 1.2"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{}", ""),
        ('{"k": 81, "local": null, "r": 16, "reallocate": true}', "k=81 r=16 reallocate"),
        ('{"reallocate": false, "share": 0.25, "ties": "newest"}', "share=0.25 ties=newest"),
    ],
)
def test_knobs_are_named_with_their_values_and_switches_where_they_are_on(params, expected):
    assert setting(params) == expected


@pytest.mark.parametrize(
    ("compression", "asked", "expected"),
    [
        (7.96, 8, "7.96"),
        (8.23, 8, "8.23"),
        (8.25, 8, "8.25 (asked 8)"),
        (7.75, 8, "7.75 (asked 8)"),
        (1.31, 1.25, "1.31 (asked 1.25)"),
        (5.1, math.nan, "5.10"),
        (math.nan, 4, "-"),
    ],
)
def test_a_compression_more_than_three_percent_off_tells_what_was_asked(compression, asked, expected):
    assert reached({"compression": compression, "ratio": asked}) == expected
    assert held({"memory_compression": compression, "memory_ratio": asked}) == expected


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ("formula", ""),
        ("oracle", ""),
        (math.nan, ""),
        ("measured", " measured"),
        ("measured, oracle", " measured"),
        ("simulated", " simulated"),
        ("measured, simulated", " measured simulated"),
    ],
)
def test_a_compression_that_is_not_known_beforehand_says_how_it_is_known(cost, said):
    assert reached({"compression": 7.96, "ratio": 8, "cost": cost}) == f"7.96{said}"


def test_a_knob_that_differs_between_examples_is_written_as_a_range():
    assert (
        setting('{"k": [61, 203], "local": [15, 50], "r": 8, "reallocate": true}')
        == "k=61..203 local=15..50 r=8 reallocate"
    )


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32", "float32"], " (float32)"),
        (["float16", "bfloat16"], " (bfloat16 and float16)"),
        ([math.nan, "float16"], " (float16)"),
        ([math.nan], ""),
    ],
)
def test_the_precision_of_bytes_is_named_where_it_is_known(dtypes, expected):
    assert precision(pd.DataFrame({"dtype": dtypes})) == expected
