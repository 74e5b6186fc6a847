"""Launchers are told numbers and the names of a cluster's parts, and count the GPUs of the machine.

Their packages need not be here, only what they declare.
"""

from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from harness.__main__ import main
from harness.commands.compose import compositions
from harness.commands.loader import own_tree
from harness.commands.vetting import LAUNCHERS
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")


@dataclass
class Joblib:
    """As joblib's launcher declares it: a whole number of jobs."""

    _target_: str = LAUNCHERS["joblib"]
    n_jobs: int = -1
    pre_dispatch: str = "2*n_jobs"
    batch_size: str = "auto"
    temp_folder: str | None = None


@dataclass
class Ray:
    _target_: str = LAUNCHERS["ray"]
    ray: dict = field(default_factory=lambda: {"init": {"address": None}, "remote": {}})


@dataclass
class Local:
    _target_: str = LAUNCHERS["submitit_local"]
    submitit_folder: str = "${hydra.sweep.dir}/.submitit/%j"
    timeout_min: int = 60
    gpus_per_node: int | None = None
    name: str = "${hydra.job.name}"


@dataclass
class Slurm(Local):
    _target_: str = LAUNCHERS["submitit_slurm"]
    partition: str | None = None
    gres: str | None = None
    cpus_per_task: int | None = None
    mem_gb: int | None = None
    constraint: str | None = None
    max_num_timeout: int = 0
    array_parallelism: int = 256
    additional_parameters: dict = field(default_factory=dict)
    setup: list | None = None
    python: str | None = None


DECLARED = {"joblib": Joblib, "ray": Ray, "submitit_local": Local, "submitit_slurm": Slurm}


@pytest.fixture
def declared():
    """A function that declares a launcher as its package would; those of the packages that we know are declared."""
    Plugins.instance()  # those that are installed are declared as they are found
    launchers = ConfigStore.instance().repo["hydra"]["launcher"]
    before = dict(launchers)
    declare = partial(ConfigStore.instance().store, group="hydra/launcher", provider="test")
    for name, node in DECLARED.items():
        declare(name=name, node=node)
    own_tree.cache_clear()
    yield declare
    launchers.clear()
    launchers.update(before)
    own_tree.cache_clear()


@pytest.fixture
def shown(request, monkeypatch, capsys):
    """The lines of the whole configuration that `harness run` composes on a machine with some GPUs."""
    request.getfixturevalue("declared")

    def show(gpus, *arguments):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        assert main(["run", *arguments, "--cfg", "all", "--resolve"]) == 0
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return show


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


TOLD = [
    ("hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "n_jobs: 3"),
    ("hydra/launcher=joblib", "hydra.launcher.batch_size=2", "batch_size: '2'"),
    ("launcher=joblib", "hydra.launcher.n_jobs=-1", "n_jobs: -1"),
    ("launcher=submitit_local", "hydra.launcher.timeout_min=5", "timeout_min: 5"),
    ("launcher=submitit_slurm", "hydra.launcher.partition=gpu-long", "partition: gpu-long"),
    ("launcher=submitit_slurm", "hydra.launcher.gres=gpu:a100:2", "gres: gpu:a100:2"),
    ("launcher=submitit_slurm", "hydra.launcher.gres=null", "gres: null"),
    ("launcher=submitit_slurm", "hydra.launcher.constraint='a100&ib'", "constraint: a100&ib"),
    ("launcher=submitit_slurm", "hydra.launcher.name=sweep", "name: sweep"),
    ("launcher=ray", "hydra.launcher.ray.remote.num_gpus=0.5", "num_gpus: 0.5"),
    ("launcher=ray", "+hydra.launcher.ray.init.object_store_memory=null", "object_store_memory: null"),
    ("launcher=ray", "hydra.launcher.ray.init.address='head:6379'", "address: head:6379"),
]


@pytest.mark.parametrize(("launcher", "argument", "line"), TOLD)
def test_numbers_and_the_names_of_a_clusters_parts_are_told(shown, launcher, argument, line):
    assert line in shown(1, launcher, argument)


NOT_TOLD = {
    "joblib": ["pre_dispatch='print()'", "temp_folder=elsewhere", "n_jobs='${oc.env:N}'", "_target_=os.system"],
    "submitit_local": ["submitit_folder=elsewhere", "name='${oc.env:N}'", "gpus_per_node='${x:}'"],
    "submitit_slurm": [
        "setup=[touch x]",
        "python=./python",
        "additional_parameters={wrap: touch x}",
        "additional_parameters={wrap: 1}",
        'partition="a\ntouch x"',
        'name="a\u2028"',
    ],
    "ray": [
        "ray.init.runtime_env={py_modules: [x]}",
        "ray.init._temp_dir=x",
        "ray.remote.runtime_env={a: b}",
    ],
}


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(("launcher", "given"), [(name, given) for name, all_ in NOT_TOLD.items() for given in all_])
def test_commands_folders_and_code_are_not_told(capsys, launcher, given):
    assert main(["run", "-m", f"launcher={launcher}", f"++hydra.launcher.{given}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"hydra.launcher.{given.partition('=')[0]}" in line


@pytest.mark.usefixtures("declared")
def test_a_cluster_is_named_on_the_command_line_alone(tmp_path):
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [override /hydra/launcher: ray]\n"
        "hydra: {launcher: {ray: {init: {address: 'evil:6379', num_cpus: 2}}}}\n"
    )
    with pytest.raises(InputError, match=r"hydra\.launcher\.ray\.init\.address"):
        compositions(["launcher=mine"], tmp_path)
    assert compositions(["launcher=mine", "hydra.launcher.ray.init.address='mine:6379'"], tmp_path)


@pytest.mark.usefixtures("declared")
def test_a_folder_of_two_lines_becomes_no_script(capsys):
    assert main(["run", "-m", "launcher=submitit_slurm", 'results="a\ntouch x\n"']) == 2
    assert "printable, of one line" in capsys.readouterr().err


def test_another_launcher_is_none(declared):
    declared(name="rq", node={"_target_": "x.Y"})
    with pytest.raises(InputError, match="choose from basic, joblib, ray"):
        compositions(["hydra/launcher=rq"])


def test_a_class_of_another_package_takes_no_launchers_name(declared):
    declared(name="joblib", node={"_target_": "x.Y"})
    with pytest.raises(InputError, match=r"joblib is x\.Y, not hydra_plugins"):
        compositions(["hydra/launcher=joblib"])
