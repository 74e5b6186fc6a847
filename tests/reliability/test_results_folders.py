"""A results folder from somebody else breaks nothing: what cannot be read is left out and named, the rest is there."""

import shutil

import pandas as pd
import pytest
from compare_tables import tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.damage import (
    CONTENTS,
    NO_FILES,
    as_nothing,
    damaged_json,
    damaged_lines,
    damaged_parquet,
    damaged_table,
    replace_file,
)
from support.report.folders import quarter_and_eighth

from harness.__main__ import main
from harness.errors import InputError
from harness.report.against.published import published
from harness.report.against.verdicts import verdicts
from harness.report.latex import to_latex
from harness.report.load import load
from harness.report.main_table import by_task, main_table
from harness.report.markdown import to_markdown
from harness.report.page.build import embedded
from harness.report.page.content import content
from harness.report.tables import score_tables, tidy
from harness.store.description import find_runs
from harness.store.files import append_lines
from harness.store.status import run_status
from harness.tables.summary import join_summaries

DAMAGE = {
    "run.json": damaged_json,
    "outputs.jsonl": damaged_lines,
    "examples.jsonl": damaged_lines,
    "launches.jsonl": damaged_lines,
    "summary.csv": damaged_table,
}
FILES = [*DAMAGE, "rows.parquet"]
WHOLE, DAMAGED = "llama-2-7b-squad-hub-00000001", "llama-2-7b-triviaqa-hub-00000001"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one results folder, of models that the paper has: one to be damaged, one to stay whole."""
    root = tmp_path_factory.mktemp("runs")
    for task in ("squad", "triviaqa"):
        folder = quarter_and_eighth(model="llama-2-7b", task=task).write(root)
        append_lines(folder / "launches.jsonl", [{"launch": "l0", "commit": "c", "versions": {"torch": "2"}}])
    return root


@pytest.fixture
def damaged(runs, tmp_path):
    """The folder of a copy of the first of them; beside it a copy of the other."""
    root = shutil.copytree(runs, tmp_path / "results")
    return root / DAMAGED


def report(root):
    """Make every table of a report, and the page's data; returns the results."""
    found = load(root)
    judged = verdicts(found)
    embedded(content(found, published(), judged))
    made = score_tables(found)
    to_markdown(made), to_latex(made), by_task(main_table(found)), tidy(found).to_csv()
    return found


def check_the_rest_is_there(root, damaged):
    """Whatever is damaged: the whole run is reported, the damaged ones are reported or named, and counted or named."""
    found = report(root)
    assert (found.cells["run"] == WHOLE).sum() == 5
    assert all(notice.isprintable() for notice in found.notices)
    reported = set(found.cells["run"])
    assert [name for name in damaged if name not in reported and name not in str(found.notices)] == []
    counted = [run_status(folder) for folder in find_runs(root)]
    assert [one.name for one in counted if any(cell.done < 0 for cell in one.cells)] == []
    assert WHOLE in set(join_summaries(root).table["run"])


def copies(runs, root, count):
    """Copies of the run that is to be damaged, beside the one that stays whole."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(runs / WHOLE, root / WHOLE)
    names = [f"{DAMAGED}{number}" for number in range(count)]
    return [shutil.copytree(runs / DAMAGED, root / name) for name in names]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_a_files_entries_are_the_other_run_is_reported_whole(runs, tmp_path, data):
    damaged = copies(runs, tmp_path / "results", 6)
    for folder, name in zip(damaged, FILES, strict=True):
        file = folder / name
        if name == "rows.parquet":
            file.write_bytes(data.draw(damaged_parquet(file)))
        else:
            file.write_text(data.draw(DAMAGE[name](file.read_text())))
    check_the_rest_is_there(tmp_path / "results", [folder.name for folder in damaged])


@pytest.mark.parametrize("name", FILES)
def test_whatever_stands_in_a_files_place_the_other_run_is_reported_whole(runs, tmp_path, name):
    damaged = copies(runs, tmp_path / "results", len(NO_FILES) + len(CONTENTS))
    for folder, make in zip(damaged, NO_FILES, strict=False):
        replace_file(folder / name, make)
    for folder, text in zip(damaged[len(NO_FILES) :], CONTENTS.values(), strict=True):
        (folder / name).write_bytes(text)
    there = damaged[name == "run.json" :]  # the first has no such file, and without run.json it is no run
    check_the_rest_is_there(tmp_path / "results", [folder.name for folder in there])


@pytest.mark.parametrize("make", [make for make in NO_FILES if make is not as_nothing])
@pytest.mark.parametrize("name", ["run.json", "summary.csv", "rows.parquet"])
def test_what_is_no_file_keeps_its_run_out_with_the_reason(damaged, name, make):
    replace_file(damaged / name, make)
    (sentence,) = load(damaged.parent).left_out
    assert sentence.startswith(f"{damaged.name} is left out: ")
    assert "not a file" in sentence


def test_nothing_of_a_file_that_a_link_leads_to_is_shown(damaged):
    secret = damaged.parent / "secret"
    secret.write_text((damaged / "outputs.jsonl").read_text().replace("an answer", "a secret"))
    (damaged / "outputs.jsonl").unlink()
    (damaged / "outputs.jsonl").symlink_to(secret)
    shown = content(load(damaged.parent), None, None)
    assert "a secret" not in str(shown["subjects"])
    assert f"{damaged.name}/outputs.jsonl is left out: it is a link, not a file" in shown["notices"]


@pytest.mark.parametrize(
    ("column", "entry"),
    [
        ("params", "{"),
        ("params", "[1]"),
        ("params", '{"k": {"a": 1}}'),
        ("n", ""),
        ("n", "inf"),
        ("n", "0"),
        ("n", "1.5"),
        ("n", "9" * 5000),
        ("value", "much"),
        ("value", "True"),
        ("compression", "0"),
        ("compression", "inf"),
        ("bytes_per_token", "-1"),
        ("higher_is_better", "perhaps"),
        ("task", ""),
        ("method", "x" * 5000),
    ],
)
def test_an_entry_that_cannot_stand_in_its_column_keeps_the_run_out_and_is_named(damaged, column, entry):
    file = damaged / "summary.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[1, column] = entry
    table.to_csv(file, index=False)
    (sentence,) = load(damaged.parent).left_out
    assert f"line 3: {column} is " in sentence


def test_a_report_names_each_run_that_it_leaves_out_on_standard_error_and_in_its_notices(damaged, capsys):
    (damaged / "rows.parquet").write_bytes((damaged / "rows.parquet").read_bytes()[:-9])
    (damaged.parent / "bench").mkdir()
    (damaged.parent / "bench" / "odd.csv").write_text("method,batch,seq,median_us\ndense,1,1,fast\n")
    assert main(["report", str(damaged.parent)]) == 0
    run, benchmark = capsys.readouterr().err.splitlines()
    assert run.startswith(f"harness: {damaged.name} is left out: ")
    assert benchmark.startswith("harness: odd.csv is left out: ")
    notices = (damaged.parent / "report" / "notices.md").read_text()
    assert "is left out" in notices and "odd.csv" in notices


def test_where_no_run_can_be_read_the_exit_code_says_so(damaged, capsys):
    (damaged / "run.json").write_text('{"protocol": 1, "config": {"a": 1}, "examples": 5}')
    assert main(["report", str(damaged)]) == 2
    assert "examples is not a list, each item a text" in capsys.readouterr().err


def test_a_folders_name_that_steers_a_terminal_is_written_as_escapes(damaged, capsys):
    odd = damaged.rename(damaged.with_name("a\nb\x1b[31m"))
    assert main(["status", str(damaged.parent)]) == 0
    out, err = capsys.readouterr()
    assert "a\\nb\\x1b[31m: " in out
    assert "\x1b" not in out + err
    assert any("a\\nb\\x1b[31m is left out" in notice for notice in load(odd.parent).notices)


def test_outputs_of_two_commits_in_one_table_are_said(damaged):
    file = damaged / "rows.parquet"
    rows = pd.read_parquet(file)
    rows.assign(launch=rows["method"].map(lambda method: "l0" if method == "dense" else "l1")).to_parquet(file)
    lines = [("l0", "a" * 40, "2.6"), ("l1", "b" * 40 + "+changes", "2.7")]
    (damaged / "launches.jsonl").unlink()
    append_lines(
        damaged / "launches.jsonl",
        [{"launch": launch, "commit": commit, "versions": {"torch": torch}} for launch, commit, torch in lines],
    )
    commits, versions = (notice for notice in load(damaged.parent).notices if "more than one" in notice)
    assert commits.startswith(
        f"{damaged.name} holds outputs of more than one commit: 16 of bbbbbbbbbb+changes, 4 of aaaaaaaaaa"
    )
    assert versions == f"{damaged.name} holds outputs of more than one version: torch 2.6 and 2.7"


def test_outputs_of_one_commit_need_no_notice(runs):
    assert [notice for notice in load(runs).notices if "more than one" in notice] == []


def test_a_real_run_is_read_without_a_notice(whole, reference):
    assert [notice for notice in load(whole).notices if "version" in notice or "left out" in notice] == []
    assert tables(whole) == reference


def test_an_unreadable_results_folder_is_one_sentence(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        load(tmp_path)
