"""Raw outputs that survive crashes."""

import contextlib
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import record

from harness.errors import InputError
from harness.store.files import append_lines, write_whole
from harness.store.plain import UnreadableError, read_lines
from harness.store.records import Failure
from harness.store.store import Store


def records(count):
    return [record(unit=f"u{i}", cell="c", text=f'line\n"{i}" é ☃\u2028') for i in range(count)]


def test_records_come_back_as_they_were_with_the_launch_that_made_them(tmp_path):
    with Store(tmp_path / "new" / "run", "key") as store:
        assert store.records() == {}
        store.append(records(3))
        store.append([record(unit="u1", cell="other")])
        named = [dataclasses.replace(r, launch=store.launch) for r in [*records(3), record(unit="u1", cell="other")]]
        assert store.records() == {(r.unit, r.cell): r for r in named}


def rewrite(file, change):
    """Change every line of a file as another version would have written it."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_records_and_failures_of_a_newer_version_are_read_without_the_fields_that_it_added(tmp_path):
    with Store(tmp_path, "key") as store:
        store.append(records(3))
        store.fail(Failure("u", "c", "e", "no"))
        expected = store.records(), store.failures(), store.settled()
        for name in ("outputs.jsonl", "errors.jsonl"):
            rewrite(tmp_path / name, lambda line: line.update(kl_to_dense=0.5))
        assert (store.records(), store.failures(), store.settled()) == expected


def test_records_of_an_older_version_get_the_defaults_of_the_fields_that_they_lack(tmp_path):
    with Store(tmp_path, "key") as store:
        store.append(records(3))
        rewrite(tmp_path / "outputs.jsonl", lambda line: [line.pop(name) for name in ("shared_seconds", "launch")])
        assert store.records() == {r.key: r for r in records(3)}
        assert len(store.settled()) == 3


def test_a_record_that_lacks_a_field_that_scores_need_is_computed_again(tmp_path):
    with Store(tmp_path, "key") as store:
        store.append(records(3))
        store.append([record(unit="whole")])
        rewrite(tmp_path / "outputs.jsonl", lambda line: line.pop("nll") if line["unit"] == "u1" else None)
        assert set(store.settled()) == {("whole", "c")}
        assert ("u1", "c") not in store.records()


def test_what_run_json_of_another_version_lacks_is_empty(tmp_path):
    with Store(tmp_path, "key") as store:
        store.describe({"config": None, "cells": None})
        assert store.cells() == {}
        assert store.batch_tokens() is None


def test_cells_are_known_whichever_version_described_them(tmp_path):
    today = {"method": "h2o", "params": '{"k": 4}', "ratio": 2}
    with Store(tmp_path, "key") as store:
        store.describe({"cells": {"h2o-1": today, "lm_infinite-2": '{"k": 4}', "x-3": {"added": 1}, "x-4": None}})
        first_version = {"method": "lm_infinite", "params": '{"k": 4}', "ratio": None}
        assert store.cells() == {"h2o-1": today, "lm_infinite-2": first_version}


def test_the_latest_record_of_a_unit_and_cell_counts(tmp_path):
    with Store(tmp_path, "key") as store:
        store.append([record(text="old"), record(unit="v")])
        store.append([record(text="new")])
        assert store.records()["u", "c"].text == "new"
        assert len(store.records()) == 2


def test_a_last_record_torn_at_any_byte_is_ignored_and_writing_goes_on(tmp_path):
    with Store(tmp_path, "key") as store:
        store.append(records(2))
        file = tmp_path / "outputs.jsonl"
        whole = file.read_bytes()
        last = whole.rindex(b"\n", 0, -1) + 1
        for cut in range(last, len(whole)):
            file.write_bytes(whole[:cut])
            complete = cut == len(whole) - 1  # only the line's end is missing
            assert set(store.records()) == ({("u0", "c"), ("u1", "c")} if complete else {("u0", "c")})
            store.append([record(unit="u2")])
            assert {("u0", "c"), ("u2", "c")} <= set(store.records())
            assert store.records()["u2", "c"] == record(unit="u2", launch=store.launch)
            assert file.read_bytes().startswith(whole[:cut])


@given(st.binary(max_size=40).filter(lambda junk: b"\n" not in junk), st.integers(0, 2))
def test_junk_between_records_is_ignored(tmp_path_factory, junk, where):
    file = tmp_path_factory.mktemp("junk") / "lines.jsonl"
    append_lines(file, [{"a": 1}, {"a": 2}])
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert(where, b'{"torn": ' + junk + b"\n")
    file.write_bytes(b"".join(lines))
    found = []
    for line in read_lines(file):
        with contextlib.suppress(UnreadableError):
            found.append(line.found())
    assert [line for line in found if "a" in line] == [{"a": 1}, {"a": 2}]


def test_a_second_run_on_the_same_folder_is_refused(tmp_path):
    with Store(tmp_path, "key"), pytest.raises(InputError, match="another run is writing"), Store(tmp_path, "key"):
        pass
    with Store(tmp_path, "key") as again:
        assert again.records() == {}


def test_the_folder_of_another_run_is_refused(tmp_path):
    with Store(tmp_path, "key") as store:
        store.describe({"note": 1})
    with pytest.raises(InputError, match="another run"), Store(tmp_path, "other"):
        pass
    with Store(tmp_path, "key") as store:
        assert json.loads((tmp_path / "run.json").read_text()) == {"key": "key", "note": 1}


def test_a_refused_folder_is_not_left_locked(tmp_path):
    with Store(tmp_path, "key") as store:
        store.describe({})
    for _ in range(2):
        with pytest.raises(InputError, match="holds results of another run"), Store(tmp_path, "other"):
            pass
    with Store(tmp_path, "key"):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "table.csv"
    write_whole(file, "old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        write_whole(file, "new")
    assert file.read_text() == "old"


def test_a_record_is_plain_json():
    assert json.loads(json.dumps(dataclasses.asdict(record()))) == dataclasses.asdict(record())
