"""Launchers are configured by the GPUs of the machine; their packages need not be here, only what they declare."""

from dataclasses import dataclass, field

import pytest
import torch
from hydra.core.config_store import ConfigStore

from harness.__main__ import main


@dataclass
class Joblib:
    """As joblib's launcher declares it: a whole number of jobs."""

    _target_: str = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    n_jobs: int = -1


@dataclass
class Ray:
    _target_: str = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    ray: dict = field(default_factory=lambda: {"init": {"address": None}, "remote": {}})


@pytest.fixture
def shown(monkeypatch, capsys):
    """The lines of the whole configuration that `harness run` composes on a machine with some GPUs."""
    launchers = ConfigStore.instance().repo["hydra"]["launcher"]
    before = dict(launchers)
    for name, node in (("joblib", Joblib), ("ray", Ray)):
        ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="test")

    def show(gpus, *arguments):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        assert main(["run", *arguments, "--cfg", "all", "--resolve"]) == 0
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    yield show
    launchers.clear()
    launchers.update(before)


@pytest.mark.parametrize(
    ("gpus", "arguments", "jobs"),
    [
        (3, [], 3),
        (3, ["hydra.launcher.n_jobs=auto"], 3),
        (3, ["hydra.launcher.n_jobs=5"], 5),
        (3, ["model.device=cuda:1"], 1),
        (3, ["model.device_map=auto"], 1),
        (0, ["hydra.launcher.n_jobs=auto"], 2),
    ],
)
def test_joblib_runs_a_job_on_each_gpu_unless_a_number_is_given(shown, gpus, arguments, jobs):
    assert f"n_jobs: {jobs}" in shown(gpus, "launcher=joblib", *arguments)


def test_ray_is_told_as_many_jobs_as_gpus_with_one_each(shown):
    lines = shown(2, "launcher=ray")
    assert {"num_cpus: 2", "num_gpus: 1"} <= set(lines)
    assert "num_gpus: 0" in shown(0, "launcher=ray")
