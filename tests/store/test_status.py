"""`harness status`: what is done, missing or failed, and how long the rest will take."""

import json

import pytest
from support import record

from harness.__main__ import main
from harness.store.records import Failure
from harness.store.shard import Shard
from harness.store.status import CellStatus, run_status
from harness.store.store import Store

UNITS = ["u0", "u1", "u2", "u3"]


@pytest.fixture
def run(tmp_path):
    """A folder of two cells and four units, of which nothing is done."""
    with Store(tmp_path / "run", "key") as store:
        store.describe({"planned": ["a", "b"], "cells": {"a": {}, "b": {}, "of an earlier launch": {}}})
        (store.folder / "examples.jsonl").write_text("".join(json.dumps({"unit": unit}) + "\n" for unit in UNITS))
    return tmp_path / "run"


def test_what_is_done_failed_and_missing_is_counted_over_all_shards(run):
    for index, unit in enumerate(UNITS[:2]):
        with Store(run, "key", Shard(index, 2)) as store:
            store.append([record(unit=unit, cell="a", seconds=3.0, shared_seconds=1.0)])
    with Store(run, "key", Shard(0, 2)) as store:
        store.fail(Failure("u2", "a", "e", "no"))
        store.append([record(unit="u9", cell="a"), record(unit="u0", cell="gone")])
    assert run_status(run).cells == (CellStatus("a", 2, 1, 1, 8.0), CellStatus("b", 0, 0, 4, 16.0))


def test_a_batch_that_was_torn_is_missing(run):
    with Store(run, "key") as store:
        store.append([record(unit=unit, cell="a") for unit in UNITS])
    outputs = run / "outputs.jsonl"
    outputs.write_bytes(outputs.read_bytes()[:-5])
    assert run_status(run).cells[0] == CellStatus("a", 0, 0, 4, None)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "about 1 s"), (12.2, "about 86 s"), (30.0, "about 4 min"), (3000.0, "about 6 h")]
)
def test_the_time_left_is_printed_in_words(run, capsys, seconds, words):
    with Store(run, "key") as store:
        store.append([record(unit="u0", cell="a", seconds=seconds, shared_seconds=0.0)])
    assert main(["status", str(run.parent)]) == 0
    first, *cells = capsys.readouterr().out.splitlines()
    assert first == f"run: 1 done, 0 failed, 7 missing, {words} left on one device"
    assert [line.split() for line in cells] == [
        ["a", "done", "1", "failed", "0", "missing", "3"],
        ["b", "done", "0", "failed", "0", "missing", "4"],
    ]


def test_before_the_first_batch_no_time_is_made_up_and_after_the_last_none_is_printed(run, capsys):
    assert main(["status", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "run: 0 done, 0 failed, 8 missing, no batch done to tell how long"
    with Store(run, "key") as store:
        store.append([record(unit=unit, cell=cell) for unit in UNITS for cell in "ab"])
    assert main(["status", str(run)]) == 0
    assert capsys.readouterr().out == "run: 8 done, 0 failed, 0 missing\n"


def test_a_torn_description_is_said_and_a_folder_without_runs_is_refused(run, tmp_path, capsys):
    (run / "run.json").write_text("{")
    assert main(["status", str(run)]) == 0
    assert "torn or old: the next launch writes it anew" in capsys.readouterr().out
    assert main(["status", str(tmp_path / "nothing")]) == 2
    assert "no run found" in capsys.readouterr().err
