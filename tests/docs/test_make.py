"""Every `make TARGET` that a page names is a target of the Makefile."""

import re
import shutil
import subprocess

import pytest

from harness.paths import asset

ROOT = asset("conf").parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / ".ci" / "run"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_targets_that_pages_name_are_there():
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", pages, re.MULTILINE))
    assert {"sweep", "test", "check"} <= targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
