"""What is left out of a report is named with the reason, and so is what else a reader must know."""

import pandas as pd
import pytest
from compare_tables import tables
from support.damage import NO_FILES, as_nothing, replace_file

from harness.__main__ import main
from harness.errors import InputError
from harness.report.load import load
from harness.store.files import append_lines


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


@pytest.mark.parametrize("make", [make for make in NO_FILES if make is not as_nothing])
@pytest.mark.parametrize("name", ["run.json", "summary.csv", "rows.parquet"])
def test_what_is_no_file_keeps_its_run_out_with_the_reason(damaged, name, make):
    replace_file(damaged / name, make)
    (sentence,) = load(damaged.parent).left_out
    assert sentence.startswith(f"{damaged.name} is left out: ")
    assert "not a file" in sentence
