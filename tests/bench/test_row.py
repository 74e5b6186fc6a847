"""Every column of a benchmark is described once, and older files are a part of it."""

from pathlib import Path

import pandas as pd
import pytest

import harness.bench
from harness.bench.columns import Status, columns, markdown, shown
from harness.bench.row import AttentionRow, FamilyRow, GenerateRow
from harness.report.sources import read_benchmarks

README = Path(harness.bench.__file__).with_name("README.md")
FILES = {f"attention_{part}.csv": AttentionRow for part in ("bars", "grid", "h100")} | {"generate.csv": GenerateRow}


@pytest.mark.parametrize("row", [AttentionRow, FamilyRow, GenerateRow])
def test_the_readme_has_the_columns_as_the_code_does(row):
    assert "\n".join(markdown(row)) in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("row", [AttentionRow, FamilyRow, GenerateRow])
def test_what_is_printed_says_whether_it_is_right(row):
    assert {"method", "status", "error"} < set(shown(row)) < set(columns(row))


def test_the_readme_lists_every_status():
    assert all(f"`{status}`" in README.read_text(encoding="utf-8") for status in Status)


@pytest.mark.parametrize("name", FILES)
def test_the_committed_measurements_have_columns_that_are_described(name, repository):
    assert set(pd.read_csv(repository / "docs" / "speed" / name)) <= set(columns(FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_lines_without_a_time_are_left_out_of_figures(name, repository, tmp_path):
    lines = pd.read_csv(repository / "docs" / "speed" / name)
    time = "us" if "us" in lines else "ms_per_token"
    untimed = lines.assign(**{time: float("nan"), "status": "wrong"})
    pd.concat([lines.assign(status="ok"), untimed]).to_csv(tmp_path / name, index=False)
    for before, now in zip(
        read_benchmarks([repository / "docs" / "speed" / name]), read_benchmarks([tmp_path / name]), strict=True
    ):
        pd.testing.assert_frame_equal(*(part.drop(columns="status", errors="ignore") for part in (before, now)))
