"""What a measured method counted while it decoded is what the tables say that it moves."""

import json

import pandas as pd
import pytest
from support.own_tasks import CHOICE, write_task
from support.sweeps import configuration, launch, only_run

import harness.methods.controls
from harness.methods import catalogue
from harness.sweep.job import Job

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from harness.attention import Meter
from harness.methods.about import About
from harness.methods.controls.dense import Dense
from harness.methods.cost import ELEMENT

__all__ = ["Half"]


@dataclass(frozen=True)
class Half(Dense):
    """Reads all, changes it a little, and says that it moved half of what dense moves."""

    about: ClassVar[About] = About(title="Half", access="all")
    is_dense = False
    measured = True

    def start(self, prefix):
        return Meter()

    def meter(self, state):
        return state

    def attend(self, step, state):
        b, h, n, d = step.k.shape
        state.note(0.5 * ELEMENT * h * (2 * d * step.mask.sum((1, 2)) + 2 * d).double())
        return 1.01 * super().attend(step, None)
'''


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A measured method among the others."""
    (tmp_path / "family").mkdir()
    (tmp_path / "family" / "half.py").write_text(METHOD)
    family = harness.methods.controls
    monkeypatch.setattr(family, "__path__", [*family.__path__, str(tmp_path / "family")])
    catalogue._modules.cache_clear()
    yield "half"
    catalogue._modules.cache_clear()


def read(results):
    folder = only_run(results)
    outputs = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
    return pd.DataFrame(outputs), pd.read_parquet(folder / "rows.parquet"), pd.read_csv(folder / "summary.csv")


def test_tables_report_the_share_of_dense_s_bytes_that_was_counted(half, sweep, tmp_path):
    assert sweep("methods=[dense,half]").code == 0
    outputs, rows, summary = read(tmp_path / "results")
    counted = outputs["cell"].str.startswith(half)
    assert (outputs.loc[counted, "share"] == 0.5).all() and outputs.loc[~counted, "share"].isna().all()
    costs = rows.pivot(index="example", columns="method", values="transfers_elements")
    assert (costs[half] * 2 == costs["dense"]).all()
    line = summary.set_index("method").loc[half]
    assert (line["compression"], line["memory_compression"], line["cost"]) == (2, 1, "measured")


def test_an_example_without_a_decode_step_has_no_measurement(half, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path, "own_task", kind=CHOICE | {"doc_to_choice": "{{choices}}"}, rows={
        "choices": [["a", "b"], ["a", "b"], ["a lantern", "b"], ["a lantern", "the mill"]]
    })  # fmt: skip
    config = configuration("model=custom", f"model.path={tiny}", "task=lm_eval", "task.name=own_task")
    config |= {"task": {**config["task"], "include_path": str(tmp_path)}, "methods": ["dense", half]}
    assert launch(Job.of({**config, "results": str(tmp_path / "results")})) == 0
    outputs, rows, summary = read(tmp_path / "results")
    alone = outputs[outputs["tokens"].str.len() == 1]
    assert len(alone) and alone["share"].isna().all()
    rows = rows[(rows["method"] == half) & (rows["metric"] == "acc")].set_index("example")
    assert rows["transfers_elements"].isna().tolist() == [True, True, False, False]
    assert rows["held_bytes"].notna().all()
    assert (summary.loc[summary["method"] == half, "compression"] == 2).all()
