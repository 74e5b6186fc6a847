"""What breaks in one example or cell costs that example or cell; what breaks in the machine costs nothing finished."""

import errno
import json
import os

import pandas as pd
import pytest
import torch
from compare_tables import tables
from support.sweeps import only_run

from harness.engine import Engine
from harness.hf import Checkpoint
from harness.methods.selection.sparq import SparQ
from harness.store import files


def fails(monkeypatch, when, error):
    """Let the engine raise whenever `when(batch, methods)` holds."""
    run = Engine.run

    def breaking(self, batch, methods):
        if when(batch, methods):
            raise error()
        return run(self, batch, methods)

    monkeypatch.setattr(Engine, "run", breaking)


def numbers(results):
    """The summary without timings and names."""
    return pd.read_csv(results / "summary.csv").drop(columns=["seconds", "run"])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, lambda: RuntimeError("DefaultCPUAllocator: out of memory")])
def test_out_of_memory_halves_the_batch_and_gives_the_same_results(sweep, whole, tmp_path, monkeypatch, error):
    sizes = []
    fails(monkeypatch, lambda batch, methods: sizes.append(len(batch) * len(methods)) or sizes[-1] > 3, error)
    code, _, _ = sweep()
    assert code == 0
    assert any(size > 3 for size in sizes)
    found, expected = numbers(tmp_path / "results"), numbers(whole)
    pd.testing.assert_frame_equal(found, expected, atol=1e-5, rtol=1e-5)


def test_after_running_out_of_memory_no_batch_of_that_size_is_tried_again(sweep, monkeypatch):
    sizes = []
    fails(
        monkeypatch, lambda batch, _: sizes.append(len(batch)) or len(batch) > 1, lambda: torch.OutOfMemoryError("full")
    )
    assert sweep("limit=8")[0] == 0
    assert sizes.count(2) == 1


def test_a_failing_example_is_listed_the_rest_is_finished_and_the_next_launch_retries_it(sweep, tmp_path, monkeypatch):
    longest = []

    def is_longest(batch, _):
        longest.extend(prompt.tokens for prompt in batch if not longest)
        return longest[0] in [prompt.tokens for prompt in batch]

    with monkeypatch.context() as patch:
        fails(patch, is_longest, lambda: ValueError("this example is cursed"))
        code, err, _ = sweep()
    assert code == 1
    assert "5 example runs failed" in err
    assert "cursed" in err
    summary = numbers(tmp_path / "results")
    assert len(summary) == 5
    assert set(summary["n"]) == {3}
    noted = [json.loads(line) for line in (only_run(tmp_path / "results") / "errors.jsonl").read_text().splitlines()]
    assert {line["cell"] for line in noted} == set(summary["cell"])
    assert all("Traceback" in line["trace"] for line in noted)
    code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 1)
    assert set(numbers(tmp_path / "results")["n"]) == {4}
    assert not (only_run(tmp_path / "results") / "errors.jsonl").exists()


@pytest.mark.parametrize("error", [ValueError, ZeroDivisionError])
def test_a_failing_cell_leaves_the_other_cells_as_they_are(sweep, whole, tmp_path, monkeypatch, error):
    fails(monkeypatch, lambda _, methods: any(isinstance(m, SparQ) for m in methods), lambda: error("no"))
    code, err, _ = sweep()
    assert (code, "8 example runs failed" in err) == (1, True)
    found, everything = numbers(tmp_path / "results"), numbers(whole)
    assert set(found["method"]) == {"dense", "h2o"}
    expected = everything[everything["method"] != "sparq"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, atol=1e-5, rtol=1e-5)


def test_a_run_in_which_nothing_works_gives_up(sweep, monkeypatch):
    fails(monkeypatch, lambda *_: True, lambda: ValueError("nothing prompts"))
    code, err, _ = sweep("limit=8")
    assert (code, "giving up" in err) == (1, True)


def test_numbers_that_are_not_finite_name_model_layer_example_and_method(sweep, monkeypatch):
    load = Checkpoint.load

    def broken(self):
        model = load(self)
        model.model.layers[1].self_attn.k_proj.weight.data[0, 0] = torch.nan
        return model

    monkeypatch.setattr(Checkpoint, "load", broken)
    code, err, _ = sweep("limit=1")
    assert code == 1
    assert all(word in err for word in ("not finite", "layer 1", "custom", "example", "sparq"))


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_full_disk_ends_the_run_in_one_sentence_and_loses_nothing(sweep, tmp_path, monkeypatch, batches):
    written, write_all = [], files._write_all

    def full(descriptor, data):
        if len(written) == 1 + batches:  # the launch's own line is the first
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(data)
        write_all(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_all", full)
        code, err, _ = sweep("engine.batch_size=1")
    assert code == 1
    assert "disk" in err
    assert "Traceback" not in err
    outputs = only_run(tmp_path / "results") / "outputs.jsonl"
    assert outputs.read_bytes() == b"".join(bytes(data) for data in written[1:])
    code, _, prefilled = sweep("engine.batch_size=1")
    assert (code, len(prefilled)) == (0, 4 - batches)


def test_a_table_that_does_not_fit_on_the_disk_leaves_the_old_one(sweep, finished, reference, tmp_path, monkeypatch):
    assert finished.is_dir()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", full)
        code, err, _ = sweep()
    assert (code, "disk" in err) == (1, True)
    assert tables(tmp_path / "results") == reference
    assert not list((tmp_path / "results").rglob("*.partial"))
