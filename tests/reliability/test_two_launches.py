"""Two launches of one sweep, and a disk that takes no more: real locks, a real limit of the operating system."""

import json
import resource
from dataclasses import replace

import pytest
from compare_tables import tables
from support.sweeps import only_run, sweep_job

from harness.engine import Engine
from harness.errors import InputError
from harness.sweep.console import Console
from harness.sweep.prepare import prepare
from harness.sweep.run import run_job


@pytest.fixture
def job(tiny, tmp_path):
    """The sweep's job, to be launched beside it."""
    return sweep_job(tiny, tmp_path / "results")


def test_a_second_launch_while_the_first_runs_is_refused_and_changes_nothing(
    sweep, reference, job, tmp_path, monkeypatch
):
    refusals, run = [], Engine.run

    def second_launch(self, *batch):
        with pytest.raises(InputError) as error:
            run_job(job, Console())
        refusals.append(str(error.value))
        return run(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", second_launch)
        code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 4)
    assert len(refusals) == 2
    assert all("another run is writing" in sentence for sentence in refusals)
    assert tables(tmp_path / "results") == reference


def test_a_method_that_is_gone_since_leaves_what_others_gave(sweep, reference, finished, tmp_path):
    described = finished / "run.json"
    info = json.loads(described.read_text())
    info["cells"]["gone-00000000"] = {**next(iter(info["cells"].values())), "method": "gone"}
    described.write_text(json.dumps(info))
    assert sweep()[0] == 0
    assert tables(tmp_path / "results") == reference


def test_shards_on_different_gpus_meet_in_one_folder(job, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    prepared = prepare(job)

    def folder(device):
        spec = replace(prepared.checkpoint.spec, device=device)
        return replace(prepared, checkpoint=replace(prepared.checkpoint, spec=spec)).folder

    assert folder("cuda:0") == folder("cuda:1") == folder("cuda") != folder("cpu")


def test_a_file_that_the_system_lets_grow_no_more_loses_nothing_finished(sweep, whole, reference, tmp_path):
    size = (only_run(whole) / "outputs.jsonl").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size * 19 // 20, hard))
    try:
        code, err, prefilled = sweep()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, len(prefilled)) == (1, 4)
    assert "is full: what was finished is kept" in err
    assert len((only_run(tmp_path / "results") / "outputs.jsonl").read_bytes().splitlines()) == 2 * 5
    code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 2)
    assert tables(tmp_path / "results") == reference
