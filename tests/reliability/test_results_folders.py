"""A results folder from somebody else breaks nothing: what cannot be read is left out, the rest is there."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.damage import (
    CONTENTS,
    DAMAGED,
    NO_FILES,
    WHOLE,
    damaged_json,
    damaged_lines,
    damaged_parquet,
    damaged_table,
    replace_file,
)

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


def test_nothing_of_a_file_that_a_link_leads_to_is_shown(damaged):
    secret = damaged.parent / "secret"
    secret.write_text((damaged / "outputs.jsonl").read_text().replace("an answer", "a secret"))
    (damaged / "outputs.jsonl").unlink()
    (damaged / "outputs.jsonl").symlink_to(secret)
    shown = content(load(damaged.parent), None, None)
    assert "a secret" not in str(shown["subjects"])
    assert f"{damaged.name}/outputs.jsonl is left out: it is a link, not a file" in shown["notices"]
