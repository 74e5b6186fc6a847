"""Links between the documents lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents():
    """Every Markdown file of the project; hidden folders and runs of results are not part of it."""
    found = [*ROOT.glob("*.md"), ROOT / "results" / "README.md"]
    for folder in ("docs", "harness", "tasks", "conf", "scripts", "tests"):
        found += (ROOT / folder).rglob("*.md")
    return sorted(found)


def anchors(text):
    """The names GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_relative_links_lead_to_a_file_and_a_heading(document):
    lost = []
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []
