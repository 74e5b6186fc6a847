"""engine.batch_tokens=auto: one number for all launches and shards of a folder, on what only seems to be CUDA."""

import json

import pytest
import torch
from compare_tables import tables
from support.sweeps import only_run
from transformers import AutoModelForCausalLM

from harness.engine import Engine
from harness.evaluation.batches import PLAIN_TOKENS
from harness.hf import Checkpoint
from harness.sweep import batch_tokens as deciding

WHOLE, HERE = "engine.batch_size=null", torch.device("cpu")
SMALL, LARGE = 849_000_000, 1 << 36
"""Bytes: beside the passes, room for a few examples of the tiny model, and for all of them."""


@pytest.fixture
def gpu(monkeypatch):
    """Set what is free on the device, None to refuse weights; lists the sizes of batches that are then run."""
    engine_run = Engine.run

    def free(count):
        def load(checkpoint):
            assert count is not None, "weights were loaded"
            return AutoModelForCausalLM.from_pretrained(checkpoint.path).eval().requires_grad_(False)

        sizes = []

        def counted(self, batch, methods):
            sizes.append(len(batch))
            return engine_run(self, batch, methods)

        monkeypatch.setattr(Engine, "run", counted)
        monkeypatch.setattr(Checkpoint, "load", load)
        monkeypatch.setattr(deciding, "_free_bytes", lambda _: {HERE: count})
        return sizes

    monkeypatch.setattr(Checkpoint, "device", "cuda")
    return free


def run_json(folder):
    return only_run(folder) / "run.json"


def batch_tokens(folder):
    return json.loads(run_json(folder).read_text())["batch_tokens"]


def rewrite(folder, change):
    """Change what run.json holds."""
    content = json.loads(run_json(folder).read_text())
    change(content)
    run_json(folder).write_text(json.dumps(content))


def test_without_cuda_auto_is_the_fixed_number(sweep, tmp_path):
    assert sweep(WHOLE)[0] == 0
    assert batch_tokens(tmp_path / "results") == PLAIN_TOKENS
    assert json.loads(run_json(tmp_path / "results").read_text())["config"]["engine"]["batch_tokens"] == "auto"


def test_without_cuda_auto_is_fewer_where_logits_and_states_of_all_cells_would_take_much(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(deciding, "PLAIN_BYTES", 1 << 18)
    assert sweep(WHOLE, "methods=[dense,h2o]", "ratios=[1.5]", results="without")[0] == 0  # keeps less than the cache
    without = batch_tokens(tmp_path / "without")
    assert without < PLAIN_TOKENS / 4
    stateful = (WHOLE, "methods=[dense,flexgen]", "ratios=[1.5]", "method.flexgen.reallocate=true")
    assert sweep(*stateful)[0] == 0
    fewer = batch_tokens(tmp_path / "results")
    assert fewer < without
    assert sweep(*stateful, "limit=5")[0] == 0
    assert batch_tokens(tmp_path / "results") == fewer


def test_free_memory_decides_how_many_examples_are_decoded_together(sweep, tmp_path, gpu):
    few = gpu(SMALL)
    assert sweep(WHOLE, "limit=8", results="small")[0] == 0
    assert (sum(few), max(few) < 8) == (8, True)
    many = gpu(LARGE)
    assert sweep(WHOLE, "limit=8", results="large")[0] == 0
    assert many == [8]
    assert batch_tokens(tmp_path / "small") < batch_tokens(tmp_path / "large")


def test_every_shard_takes_the_number_of_the_first_whatever_is_free_for_itself(sweep, tmp_path, gpu):
    gpu(SMALL)
    assert sweep(WHOLE, "limit=8", results="whole")[0] == 0
    for shard, free in enumerate((SMALL, LARGE)):
        gpu(free)
        assert sweep(WHOLE, "limit=8", "shards=2", f"shard={shard}")[0] == 0
    assert batch_tokens(tmp_path / "results") == batch_tokens(tmp_path / "whole")
    assert tables(tmp_path / "results") == tables(tmp_path / "whole")


def test_a_run_that_goes_on_with_more_free_memory_cuts_its_batches_as_before(sweep, tmp_path, gpu):
    first = gpu(SMALL)
    assert sweep(WHOLE, "limit=8")[0] == 0
    before, cut = tables(tmp_path / "results"), batch_tokens(tmp_path / "results")
    (only_run(tmp_path / "results") / "outputs.jsonl").unlink()
    again = gpu(LARGE)
    assert sweep(WHOLE, "limit=8")[0] == 0
    assert (again, batch_tokens(tmp_path / "results")) == (first, cut)
    assert tables(tmp_path / "results") == before


def test_a_finished_run_loads_no_weights_even_if_no_number_is_known(sweep, tmp_path, gpu):
    gpu(SMALL)
    assert sweep()[0] == 0
    gpu(None)
    assert sweep()[0] == 0
    rewrite(tmp_path / "results", lambda content: content.update(batch_tokens=None))
    assert sweep()[0] == 0
    assert batch_tokens(tmp_path / "results") is None


def test_a_number_on_the_command_line_wins_and_auto_goes_on_with_it(sweep, tmp_path, gpu):
    gpu(LARGE)
    assert sweep(WHOLE)[0] == 0
    decided = batch_tokens(tmp_path / "results")
    assert sweep(WHOLE, "engine.batch_tokens=1000", "limit=8")[0] == 0
    assert batch_tokens(tmp_path / "results") == 1000 != decided
    assert sweep(WHOLE, "limit=9")[0] == 0
    assert batch_tokens(tmp_path / "results") == 1000


def test_a_folder_from_before_auto_goes_on_with_the_number_it_was_made_with(sweep, tmp_path, gpu):
    gpu(LARGE)
    assert sweep(WHOLE, "engine.batch_tokens=24576")[0] == 0
    rewrite(tmp_path / "results", lambda content: content.pop("batch_tokens"))
    assert sweep(WHOLE, "limit=8")[0] == 0
    assert batch_tokens(tmp_path / "results") == 24576
