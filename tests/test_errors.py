"""Errors are told in one line, also those of others that say nothing."""

import pytest

from harness.errors import InputError, first_line


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


def test_a_name_with_a_line_break_is_quoted_within_the_line():
    assert str(InputError("unknown key a\nb")) == "unknown key a\\nb"
