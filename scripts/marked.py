"""Replaces what stands in a page between a comment that names a table and the comment that ends it."""

from __future__ import annotations

from harness.errors import InputError

END = "<!-- end of table -->"


def replaced(text: str, name: str, script: str, table: str) -> str:
    """Put a table, which the script makes, in its place. Raises InputError for a page without the comment."""
    begin = f"<!-- {name}: scripts/{script} -->\n"
    before, _, rest = text.partition(begin)
    if not rest:
        raise InputError(f"the page has no line {begin.strip()}: add it, and {END} after it")
    return f"{before}{begin}{table}\n{END}{rest.partition(END)[2]}"
