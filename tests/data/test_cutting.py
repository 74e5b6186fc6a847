"""How texts are ordered and cut."""

import re

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.cutting import run_end, run_end_or_all, shuffled

texts = st.text(alphabet="ab \n.", max_size=30)


@pytest.mark.parametrize(
    ("text", "start", "least", "end"),
    [
        ("abc def", 0, 2, 3),
        ("abc def", 0, 3, 3),
        ("abc def", 0, 4, None),
        ("abc def ", 0, 4, 7),
        ("abc  def", 0, 4, 4),
        ("abc\ndef", 1, 1, 3),
        ("abc", 0, 3, None),
        ("abc", 0, 9, None),
        ("", 0, 0, None),
    ],
)
def test_a_run_is_the_shortest_that_ends_before_a_whitespace(text, start, least, end):
    assert run_end(text, start, least) == end


@given(texts, st.integers(0, 10), st.integers(0, 12))
def test_a_run_has_no_shorter_alternative(text, start, least):
    fitting = [e for e in range(start + least, len(text)) if re.match(r"\s", text[e])]
    assert run_end(text, start, least) == (fitting[0] if fitting else None)


@given(texts, st.integers(0, 10), st.integers(0, 12))
def test_a_run_may_end_with_the_text_if_it_is_long_enough(text, start, least):
    found = run_end_or_all(text, start, least)
    if run_end(text, start, least) is not None:
        assert found == run_end(text, start, least)
    else:
        assert found == (len(text) if len(text) - start >= least else None)


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (7, 3), (500, 945237), (4000, 2353669)])
def test_the_order_is_that_of_the_library_datasets(count, seed):
    rows = datasets.Dataset.from_dict({"x": list(range(count))}).shuffle(seed)["x"]
    assert shuffled(range(count), seed) == list(rows)
