"""Writes docs/conformance.md."""

from conformance.document import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
