"""Fixtures of what comes from others."""

import pytest
from support.foreign_configuration import FACTORY, TARGET, write


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
