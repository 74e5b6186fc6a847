"""SECURITY.md is short, and what it says is held names the tests that hold it."""

import re


def test_it_is_under_60_lines_and_every_test_that_it_names_is_there(repository):
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    named = re.findall(r"`(?:tests/reliability/|tests/report/)?(test_[\w*]+\.py)`", text)
    assert len(named) >= 6
    for name in named:
        assert list((repository / "tests").rglob(name)), name


def test_it_names_every_permission_that_must_be_typed(repository):
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    for key in ("model.trust_remote_code", "model.allow_pickle", "task.include_path", "task.confirm_run_unsafe_code"):
        assert key in text
