"""The page of the matrix."""

from conformance.document import PAGE, page


def test_the_page_says_what_the_suite_says():
    assert PAGE.read_text(encoding="utf-8") == page()
