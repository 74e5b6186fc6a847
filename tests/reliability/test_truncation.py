"""Any file of a run may be cut at any byte: the next launch makes the same tables, and redoes only what is torn."""

import random

import pytest
from compare_tables import tables

from harness.store.lines import read_records
from harness.store.notes import Notes

FILES = [
    "outputs.jsonl",
    "launches.jsonl",
    "examples.jsonl",
    "run.json",
    "rows.parquet",
    "summary.csv",
    "../summary.csv",
]


def settled(folder):
    return {record.key for record, whole in read_records(folder, Notes()) if whole}


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_gives_the_same_tables(sweep, reference, finished, tmp_path, name):
    file, everything = finished / name, settled(finished)
    size = file.stat().st_size
    for cut in [0, size - 1, *random.Random(name).sample(range(size), 2)]:
        file.write_bytes(file.read_bytes()[:cut])
        before = settled(finished)
        code, _, prefilled = sweep()
        assert code == 0
        assert tables(tmp_path / "results") == reference
        lost = {unit for unit, _ in everything - before}
        assert len(prefilled) == len(lost)


def test_a_power_cut_that_leaves_zeros_loses_only_the_torn_batch(sweep, reference, finished, tmp_path):
    outputs = finished / "outputs.jsonl"
    lines = outputs.read_bytes().splitlines(keepends=True)
    outputs.write_bytes(b"".join(lines[:-1]) + bytes(len(lines[-1])))
    code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 2)
    assert tables(tmp_path / "results") == reference


def test_a_finished_run_prefills_nothing(sweep, reference, tmp_path):
    assert len(sweep().prefilled) == 4
    assert sweep().prefilled == []
    assert tables(tmp_path / "results") == reference
