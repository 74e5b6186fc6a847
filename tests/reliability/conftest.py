"""Fixtures of what comes from others."""

import shutil

import pytest
from support.damage import DAMAGED
from support.foreign_configuration import FACTORY, TARGET, write
from support.report.folders import quarter_and_eighth

from harness.store.files import append_lines


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """The file that is there if code ran."""
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


@pytest.fixture
def folder(tmp_path):
    """A folder of configuration by somebody else; its files of Hydra's own groups sing."""
    write(tmp_path / "conf", "hydra/job_logging/evil", FACTORY)
    write(tmp_path / "conf", "hydra/launcher/evil", TARGET)
    write(tmp_path / "conf", "hydra/callbacks/evil", {"x": TARGET})
    return tmp_path / "conf"


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Two runs of one results folder, of models that the paper has: one to be damaged, one to stay whole."""
    root = tmp_path_factory.mktemp("runs")
    for task in ("squad", "triviaqa"):
        folder = quarter_and_eighth(model="llama-2-7b", task=task).write(root)
        append_lines(folder / "launches.jsonl", [{"launch": "l0", "commit": "c", "versions": {"torch": "2"}}])
    return root


@pytest.fixture
def damaged(runs, tmp_path):
    """The folder of a copy of the first of them; beside it a copy of the other."""
    root = shutil.copytree(runs, tmp_path / "results")
    return root / DAMAGED
