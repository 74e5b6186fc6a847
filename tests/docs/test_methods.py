"""docs/methods.md is what its script makes of the catalogue and of the results beside it."""

import write_methods


def test_the_page_is_what_its_script_writes():
    text = write_methods.PAGE.read_text(encoding="utf-8")
    assert write_methods.page(text) == text, "docs/methods.md is stale: python scripts/write_methods.py"
