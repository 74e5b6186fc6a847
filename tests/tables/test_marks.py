"""Marks of a table: what is told apart from dense, and what may be called the best."""

import math

import pandas as pd
import pytest

from harness.tables.marks import best, like_dense


def scores(**cells):
    """Scores of some cells by example."""
    return {name: pd.Series(values, index=[f"e{i}" for i in range(len(values))]) for name, values in cells.items()}


def test_a_cell_is_like_dense_unless_the_test_says_otherwise_after_holms_correction():
    cells = pd.DataFrame({"delta_p": [math.nan, 0.004, 0.02, 0.03, 0.9]})
    assert like_dense(cells) == [False, False, True, True, True]


def test_the_best_and_what_is_not_told_apart_from_it_are_called_best():
    found = scores(one=[1] * 12, near=[1] * 11 + [0], far=[0] * 12)
    assert best(found, True) == {"one", "near"}
    assert best(found, False) == {"far"}


@pytest.mark.parametrize("few", [1, 3, 5])
def test_of_few_examples_none_is_called_the_best(few):
    assert best(scores(one=[1] * few, far=[0] * few), True) == set()


def test_alone_a_cell_is_not_called_the_best():
    assert best(scores(one=[1] * 12), True) == set()


def test_what_two_rivals_tell_apart_many_do_not():
    two = {"one": [1] * 12, "lost": [0] * 7 + [1] * 5}
    assert best(scores(**two), True) == {"one"}  # p = 2 / 2 ** 7
    assert best(scores(**two, **{f"other{i}": [1] * 12 for i in range(3)}), True) == set()


def test_rivals_are_compared_on_the_examples_that_both_have_or_not_at_all():
    found = scores(one=[1] * 12, far=[0] * 12)
    found["late"] = pd.Series([1.0] * 8, index=[f"e{i}" for i in range(4, 12)])
    found["too few"] = pd.Series([1.0] * 3, index=["e9", "e10", "e11"])
    assert best(found, True) == {"one", "late"}


def test_scores_that_are_no_numbers_call_none_the_best():
    assert best(scores(one=[math.nan] * 12, far=[0.0] * 12), True) == set()
