"""Folders that another version wrote, with columns and fields fewer or more: shown with what they have."""

import json

import pandas as pd
import pytest
from support.report.folders import quarter_and_eighth
from support.report.reading import notices

from harness.__main__ import main
from harness.report.load import load
from harness.tables.columns import COLUMNS, SUMMARY

OPTIONAL = [column.name for column in COLUMNS if not column.essential]
OPTIONAL_OF_SUMMARY = [column.name for column in SUMMARY if not column.essential]


def rewrite(folder, change):
    """Change both tables of a run."""
    summary, rows = folder / "summary.csv", folder / "rows.parquet"
    change(pd.read_csv(summary)).to_csv(summary, index=False)
    change(pd.read_parquet(rows)).to_parquet(rows, index=False)


@pytest.fixture
def versions(tmp_path):
    """Three runs of a results folder: of today, of an older version, of a newer one."""
    quarter_and_eighth().write(tmp_path)
    older = quarter_and_eighth(task="triviaqa").write(tmp_path)
    rewrite(older, lambda table: table.drop(columns=OPTIONAL, errors="ignore"))
    newer = quarter_and_eighth(task="cnn_dailymail", metric="rougeL").write(tmp_path)
    rewrite(newer, lambda table: table.assign(kl_to_dense=0.25))
    return tmp_path


def test_the_report_shows_runs_of_every_version(versions):
    assert main(["report", str(versions)]) == 0
    scores = pd.read_csv(versions / "report" / "tables" / "scores.csv").set_index("task")
    assert scores.groupby("task").size().to_dict() == {"squad": 5, "triviaqa": 5, "cnn_dailymail": 5}
    assert scores.loc["triviaqa", "value"].tolist() == scores.loc["squad", "value"].tolist()
    assert scores.loc["triviaqa", OPTIONAL_OF_SUMMARY].isna().all(axis=None)
    assert scores["kl_to_dense"].dropna().index.unique().tolist() == ["cnn_dailymail"]


def test_what_an_older_run_lacks_and_what_a_newer_one_has_is_said_with_what_mends_it(versions):
    newer, older = sorted(notices(versions))
    assert older.startswith("m-triviaqa-hub-00000001 was written by another version, without ratio, stderr")
    assert "the same `harness run` adds them" in older
    assert newer.startswith("m-cnn_dailymail-hub-00000001/summary.csv was written by another version")
    assert newer.endswith("kl_to_dense")


def test_rows_that_lack_what_a_figure_shows_are_not_drawn_as_empty(versions):
    results = load(versions)
    (panel,) = [panel for panel, _ in results.panels() if panel.task == "triviaqa"]
    assert results.rows(panel, ["cell", "first_difference"]).empty
    assert len(results.rows(panel, ["cell", "value"], optional=["first_difference"])) == 20


def test_a_run_description_of_another_version_is_read_by_its_keys(tmp_path):
    folder = quarter_and_eighth().write(tmp_path)
    info = json.loads((folder / "run.json").read_text())
    config = {"model": {"name": "m", "added": 1}, "added": {}}
    (folder / "run.json").write_text(json.dumps({"protocol": info["protocol"], "config": config, "added": 1}))
    (run,) = load(tmp_path).runs
    assert (run.data, run.examples, run.task_arguments("squad")) == ("hub", (), {})


def test_texts_are_found_beside_lines_of_another_version(tmp_path):
    folder = quarter_and_eighth().write(tmp_path)
    for name in ("examples.jsonl", "outputs.jsonl"):
        with (folder / name).open("a") as stream:
            stream.write('{"unit": "ue0", "added": 1}\n{"example": "e0", "task": "squad"}\n')
    assert main(["report", str(tmp_path)]) == 0
    assert "an answer" in (tmp_path / "report" / "index.html").read_text()
