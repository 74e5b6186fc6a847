"""A small sweep on a tiny model, in this process or in one that can be killed."""

import pytest
from support.tables_of import tables

from harness.__main__ import main
from harness.engine import Engine

SWEEP = ["methods=[dense,sparq,h2o]", "ratios=[2,4]", "budget=balanced", "limit=4", "engine.batch_size=2"]


@pytest.fixture
def arguments(tiny):
    """What `harness run` is given, the results folder apart."""
    return ["run", "model=custom", f"model.path={tiny}", "data=embedded", *SWEEP]


@pytest.fixture
def sweep(arguments, tmp_path, monkeypatch, capsys):
    """Run the sweep; returns the exit code, what was said on standard error, and the prompts that were prefilled."""
    monkeypatch.chdir(tmp_path)

    def call(*more, results="results", task="wikitext"):
        prefilled = []
        with monkeypatch.context() as patch:
            prefill = Engine._prefill

            def counted(self, batch, *rest):
                prefilled.extend(work.prompt for work in batch)
                return prefill(self, batch, *rest)

            patch.setattr(Engine, "_prefill", counted)
            flags = [flag for flag in more if flag == "-m"]
            given = [f"task={task}", f"results={results}", *(flag for flag in more if flag != "-m")]
            code = main([arguments[0], *flags, *arguments[1:], *given])
        return code, capsys.readouterr().err, prefilled

    return call


@pytest.fixture
def reference(sweep, tmp_path):
    """The tables of a run that nothing interrupted."""
    assert sweep(results="reference")[0] == 0
    return tables(tmp_path / "reference")
