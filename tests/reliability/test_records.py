"""Lines of outputs that nobody can read cost their batch and nothing else: it is done again, and nothing is deleted."""

import contextlib
import json
import math

import pytest
from compare_tables import tables
from hypothesis import given
from hypothesis import strategies as st
from support import record
from support.damage import CONTENTS, NO_FILES, as_nothing, damaged_lines

from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cell import Cell
from harness.store.description import find_runs, read_description
from harness.store.lines import read_asked, read_launches, read_records
from harness.store.notes import Notes
from harness.store.store import Store
from harness.sweep.outcome import find_cell

ODD = {
    "unit": [None, 5, "", [], "\ud800"],
    "tokens": [None, "x", [0.5], [-1], [1 << 40], [True], [[1]], [1, 2, 3], {"a": 1}],
    "nll": [None, ["x"], [math.nan, 0.5], [math.inf, 0.5], [10**400, 1], [0.5]],
    "seconds": [None, "x", math.nan, -math.inf, 10**400, True],
    "prompt_tokens": ["10", 1.5, 10**30],
    "text": [5, ["x"], "\udc80"],
    "share": ["x", math.nan],
    "divergence": [5, {"steps": 1}, {"steps": -1, "kl": 0, "agreement": 1, "lost": 0, "drafts": {}}],
    "batch": [5, ["x/1"]],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_a_line_with_a_field_of_another_kind_is_left_out_and_named(tmp_path, name, value):
    with Store(tmp_path / "run", "key") as store:
        store.append([record(unit="good")])
        line = record().line | {name: value}
        with (store.folder / "outputs.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        notes = Notes()
        assert set(store.settled(notes)) == {("good", "c")}
        (sentence,) = notes.sentences()
        assert sentence.startswith("run/outputs.jsonl line 2 is left out: ")


@given(st.data())
def test_whatever_stands_in_a_line_the_others_are_read(tmp_path_factory, data):
    with Store(tmp_path_factory.mktemp("lines"), "key") as store:
        store.append([record(unit=f"u{i}", launch="l") for i in range(3)])
        file = store.folder / "outputs.jsonl"
        lines = file.read_text().splitlines(keepends=True)
        damaged = data.draw(damaged_lines(lines[1]))
        file.write_text("".join([lines[0], damaged, lines[2]]))
        units = [stored.record.unit for stored in read_records(store.folder, Notes())]
        assert (units[0], units[-1]) == ("u0", "u2")


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_whatever_a_file_holds_a_run_that_goes_on_reads_what_it_can(tmp_path, content):
    with Store(tmp_path, "key") as store:
        for name in ("run.json", "outputs.1of2.jsonl", "errors.1of2.jsonl"):
            (tmp_path / name).write_bytes(content)
        store.append([record()])
        assert set(store.settled()) == {("u", "c")}
        assert (store.failures(), store.cells(), store.batch_tokens()) == ({}, {}, None)
        assert (tmp_path / "outputs.1of2.jsonl").read_bytes() == content


@pytest.mark.parametrize("make", [make for make in NO_FILES if make is not as_nothing])
@pytest.mark.parametrize(
    "name", ["outputs.jsonl", "errors.jsonl", "run.json", "launches.jsonl", "summary.csv", ".mutex"]
)
def test_what_is_no_file_where_a_run_writes_is_refused_before_anything_starts(tmp_path, make, name):
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / name)
    with pytest.raises(InputError, match="not a file: move it away"), Store(tmp_path / "run", "key"):
        pass


@pytest.mark.parametrize("make", [make for make in NO_FILES if make is not as_nothing])
def test_another_shards_outputs_that_are_no_file_are_left_out_and_named(tmp_path, make):
    with Store(tmp_path / "run", "key") as store:
        store.append([record()])
        make(store.folder / "outputs.1of2.jsonl")
        notes = Notes()
        assert set(store.settled(notes)) == {("u", "c")}
        (sentence,) = notes.sentences()
        assert sentence.startswith("run/outputs.1of2.jsonl is left out: it is a ")


def test_a_line_of_more_bytes_than_any_record_has_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.store.plain.LONGEST_LINE", 1000)
    with Store(tmp_path, "key") as store:
        (tmp_path / "outputs.jsonl").write_text(json.dumps(record(unit="long", text="x" * 5000).line) + "\n")
        store.append([record()])
        assert set(store.settled()) == {("u", "c")}


def test_what_is_written_can_be_read_again(tmp_path):
    with Store(tmp_path, "key") as store, pytest.raises(ValueError, match="nll is not a list, each item a finite"):
        store.append([record(nll=[math.nan, 0.5])])
    assert not (tmp_path / "outputs.jsonl").exists()


WRONG = [
    lambda line: line | {"prompt_tokens": line["prompt_tokens"] + 1},
    lambda line: line | {"example": "another"},
    lambda line: line | {"tokens": [*line["tokens"], 1], "nll": [*line["nll"], 0.5]},
    lambda line: line | {"seconds": "long", "divergence": 5},
    lambda line: [line],
]


def test_odd_lines_of_a_run_are_named_and_their_batch_alone_is_done_again(sweep, reference, finished, tmp_path, capsys):
    outputs = finished / "outputs.jsonl"
    lines = [json.loads(line) for line in outputs.read_text().splitlines()]
    damaged = [*(change(line) for change, line in zip(WRONG, lines, strict=False)), *lines[len(WRONG) :]]
    text = "".join(json.dumps(line) + "\n" for line in damaged)
    outputs.write_text(text)
    capsys.readouterr()
    code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 2)
    assert tables(tmp_path / "results") == reference
    assert outputs.read_text().startswith(text)


def test_a_newer_versions_field_is_said_to_be_unused(tmp_path):
    with Store(tmp_path / "run", "key") as store:
        store.append([record()])
        file = store.folder / "outputs.jsonl"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"entropy": [0.5]}) + "\n")
        notes = Notes()
        assert set(store.settled(notes)) == {("u", "c")}
        assert notes.sentences() == [
            "run/outputs.jsonl was written by another version: not used of it is entropy",
        ]


def test_every_field_of_todays_run_is_known(whole):
    (folder,) = find_runs(whole)
    notes = Notes()
    assert read_description(folder, notes).faults == []
    for read in (read_records, read_asked, read_launches):
        assert len(list(read(folder, notes))) > 0
    assert notes.sentences() == []


@pytest.mark.parametrize("knobs", [{"name": "x"}, {"budget": 1}, {"self": 1}, {"k": "x"}, {"k": -1}, {"zz": 1}, {}])
@pytest.mark.parametrize(("per", "ratio"), [(None, None), ("example", 2.0), ("example", -1.0), ("example", 1e308)])
def test_a_cell_of_another_launch_whose_method_cannot_be_made_is_no_cell_of_today(knobs, per, ratio):
    described = {"method": "h2o", "params": json.dumps(knobs), "ratio": ratio, "per": per}
    layers = (LayerShape(2, 16),)
    name = "h2o-of-today"
    with contextlib.suppress(InputError):
        name = Cell.from_record(described, layers).id  # as its maker may have named it
    found = find_cell(name, described, layers, (8, 64))
    assert (found is not None) == (knobs.keys() <= {"k"} and (per, ratio) == ("example", 2.0))  # k is solved for
