"""A small sweep on a tiny model: one that nothing interrupted, and launches that something may happen to."""

import shutil

import pytest
from compare_tables import tables
from support.sweeps import SWEEP, Ended, counting_prefills, launch, only_run, sweep_job


@pytest.fixture
def arguments(tiny):
    """What `harness run` is given, the task and the results folder apart."""
    return ["run", "model=custom", f"model.path={tiny}", "data=embedded", *SWEEP]


@pytest.fixture
def sweep(tiny, tmp_path, monkeypatch, capsys):
    """Launch the sweep, other arguments added; returns how it ended."""
    monkeypatch.chdir(tmp_path)

    def call(*more, results="results"):
        with monkeypatch.context() as patch:
            prefilled = counting_prefills(patch)
            code = launch(sweep_job(tiny, tmp_path / results, *more))
        return Ended(code, capsys.readouterr().err, prefilled)

    return call


@pytest.fixture(scope="session")
def whole(tiny, tmp_path_factory):
    """Results of the sweep that nothing interrupted; to be read only."""
    results = tmp_path_factory.mktemp("whole") / "results"
    assert launch(sweep_job(tiny, results)) == 0
    return results


@pytest.fixture(scope="session")
def reference(whole):
    """Its tables."""
    return tables(whole)


@pytest.fixture
def finished(whole, tmp_path):
    """Folder of the finished run, copied to where `sweep` goes on with it."""
    shutil.copytree(whole, tmp_path / "results")
    return only_run(tmp_path / "results")
