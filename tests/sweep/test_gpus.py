"""Jobs find a GPU each, whoever started them; a place is free again once its process is gone, however it went."""

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import torch
from support.sweeps import launch, only_run, sweep_job
from transformers import AutoModelForCausalLM

from harness.errors import InputError
from harness.hf import Checkpoint
from harness.sweep.gpus import AT_ONCE, _Places, gpus_of_a_job, jobs_at_once, place_of_job


@pytest.fixture
def gpus(monkeypatch):
    """Show this process some GPUs by their names, in an order."""

    def show(*names):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=names[index]))

    return show


def held(stack, tmp_path, *devices):
    """The devices that jobs are given one after the other, none of which ends."""
    return [stack.enter_context(place_of_job(device, folder=tmp_path)) for device in devices]


def test_jobs_share_the_gpus_evenly(gpus, tmp_path):
    gpus("a", "b", "c")
    with ExitStack() as jobs:
        assert held(jobs, tmp_path, *["cuda"] * 7) == [f"cuda:{i}" for i in (0, 1, 2, 0, 1, 2, 0)]


def test_a_job_takes_the_place_of_one_that_has_ended(gpus, tmp_path):
    gpus("a", "b")
    with ExitStack() as jobs:
        held(jobs, tmp_path, "cuda")
        with place_of_job("cuda", folder=tmp_path) as second:
            assert second == "cuda:1"
        assert held(jobs, tmp_path, "cuda", "cuda") == ["cuda:1", "cuda:0"]


def test_a_gpu_that_is_named_is_taken_however_many_run_there_and_others_see_it(gpus, tmp_path):
    gpus("a", "b")
    with ExitStack() as jobs:
        assert held(jobs, tmp_path, "cuda:1", "cuda:1", "cuda:1") == ["cuda:1"] * 3
        assert held(jobs, tmp_path, *["cuda"] * 4) == ["cuda:0", "cuda:0", "cuda:0", "cuda:0"]


def test_a_gpu_is_the_same_whatever_number_a_process_sees_it_under(gpus, tmp_path):
    with ExitStack() as jobs:
        gpus("b")  # CUDA_VISIBLE_DEVICES=1
        assert held(jobs, tmp_path, "cuda") == ["cuda:0"]
        gpus("a", "b")
        assert held(jobs, tmp_path, "cuda") == ["cuda:0"]
        gpus("a", "c", "b")
        assert held(jobs, tmp_path, "cuda") == ["cuda:1"]


def test_layers_on_all_gpus_take_a_place_on_each(gpus, tmp_path):
    gpus("a", "b")
    with ExitStack() as jobs:
        assert jobs.enter_context(place_of_job("cuda", "auto", tmp_path)) == "cuda"
        held(jobs, tmp_path, "cuda:0")
        assert held(jobs, tmp_path, "cuda") == ["cuda:1"]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_what_is_no_gpu_needs_no_place(device, tmp_path):
    with place_of_job(device, folder=tmp_path / "none") as place:
        assert (place, (tmp_path / "none").exists()) == (device, False)


def test_a_killed_process_leaves_no_place_behind(tmp_path):
    code = "from pathlib import Path; from harness.sweep.gpus import _Places\n"
    code += f"taken = _Places(Path({str(tmp_path)!r})).take(['a', 'b'])\nprint(taken[0], flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"0\n"
        index, lock = _Places(tmp_path).take(["a", "b"])
        lock.release()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (index, _Places(tmp_path).take(["a", "b"])[0]) == (1, 0)


def test_a_folder_of_somebody_else_is_refused(gpus, tmp_path, monkeypatch):
    gpus("a")
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(InputError, match="belongs to somebody else: set TMPDIR"):
        held(ExitStack(), tmp_path, "cuda")


@pytest.mark.parametrize(
    ("device", "device_map", "at_once", "of_a_job"),
    [
        ("auto", None, 3, 1),
        ("cuda", None, 3, 1),
        ("cuda:1", None, 1, 1),
        ("auto", "auto", 1, 3),
        ("cpu", None, AT_ONCE, 0),
    ],
)
def test_a_launcher_runs_a_job_on_each_gpu_that_jobs_may_use(gpus, device, device_map, at_once, of_a_job):
    gpus("a", "b", "c")
    assert jobs_at_once(device, device_map) == at_once
    assert gpus_of_a_job(device, device_map) == of_a_job


def test_without_a_gpu_two_jobs_run_at_a_time(gpus):
    gpus()
    assert (jobs_at_once("auto", None), gpus_of_a_job("auto", None)) == (AT_ONCE, 0)


def test_a_job_runs_on_the_gpu_that_is_free_and_its_launch_says_so(gpus, tiny, tmp_path, monkeypatch):
    gpus("a", "b")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU at {device}")
    loaded = []

    def load(checkpoint):
        loaded.append(checkpoint.device)
        return AutoModelForCausalLM.from_pretrained(checkpoint.path).eval().requires_grad_(False)

    monkeypatch.setattr(Checkpoint, "load", load)
    with place_of_job("cuda"):
        assert launch(sweep_job(tiny, tmp_path, "limit=1", "methods=[dense]", "engine.batch_tokens=9999")) == 0
    (line,) = (only_run(tmp_path) / "launches.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (loaded, told["device"], told["device_name"]) == (["cuda:1"], "cuda:1", "a GPU at cuda:1")
    config = json.loads((only_run(tmp_path) / "run.json").read_text())["config"]
    assert config["model"]["device"] == "auto"
