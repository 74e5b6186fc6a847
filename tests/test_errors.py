"""Errors of others are told in one line, also where they say nothing."""

import pytest

from harness.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("what\nwhere"), "what"),
        (OSError("\n  what  \n"), "what"),
        (RuntimeError(), "RuntimeError"),
        (ValueError(" \n"), "ValueError"),
    ],
)
def test_an_error_is_told_by_its_first_line_or_else_its_kind(error, line):
    assert first_line(error) == line
