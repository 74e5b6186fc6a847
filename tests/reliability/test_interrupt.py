"""Pre-emption: a polite signal ends a run at once, with exit code 130 and everything that was finished on disk."""

import os
import signal

import pytest
from compare_tables import tables
from support.sweeps import SWEEP, only_run

from harness.commands.loader import OverridesParser
from harness.engine import Engine
from harness.store.lines import read_records
from harness.store.notes import Notes
from harness.sweep import run

POLITE = [signal.SIGTERM, signal.SIGINT]


def signalled_in_call(patch, owner, name, call, number):
    """Let the process get a signal at the start of the n-th call; returns how many calls were begun."""
    begun, original = [], getattr(owner, name)

    def signalled(*arguments, **named):
        begun.append(name)
        if len(begun) == call:
            os.kill(os.getpid(), number)
        return original(*arguments, **named)

    patch.setattr(owner, name, signalled)
    return begun


@pytest.mark.parametrize("number", POLITE)
def test_a_signal_while_computing_ends_the_run_and_loses_only_the_batch_in_hand(
    sweep, reference, tmp_path, monkeypatch, number
):
    with monkeypatch.context() as patch:
        begun = signalled_in_call(patch, Engine, "run", 2, number)
        code, err, _ = sweep()
    assert (code, len(begun)) == (130, 2)
    assert "interrupted" in err
    units = {record.unit for record, whole in read_records(only_run(tmp_path / "results"), Notes()) if whole}
    assert len(units) == 2
    code, _, prefilled = sweep()
    assert (code, len(prefilled)) == (0, 2)
    assert tables(tmp_path / "results") == reference


@pytest.mark.parametrize("number", POLITE)
def test_a_signal_while_tables_are_written_leaves_them_to_the_next_launch(
    sweep, reference, tmp_path, monkeypatch, number
):
    with monkeypatch.context() as patch:
        signalled_in_call(patch, run, "write_tables", 1, number)
        assert sweep()[0] == 130
    code, _, prefilled = sweep()
    assert (code, prefilled) == (0, [])
    assert tables(tmp_path / "results") == reference


@pytest.mark.parametrize("number", POLITE)
@pytest.mark.parametrize("call", [1, 2])
def test_a_signal_between_the_jobs_of_a_sweep_ends_the_sweep(harness, tmp_path, monkeypatch, number, call):
    with monkeypatch.context() as patch:
        begun = signalled_in_call(patch, run, "prepare", call, number)
        code, _, _ = harness("-m", *SWEEP, "task=wikitext,squad,triviaqa")
    assert (code, len(begun)) == (130, call)
    assert len(list((tmp_path / "results").glob("custom-*/summary.csv"))) == call - 1


def test_a_signal_before_the_first_job_is_no_crash(harness, monkeypatch):
    with monkeypatch.context() as patch:
        signalled_in_call(patch, OverridesParser, "parse_overrides", 1, signal.SIGTERM)
        assert harness("-m", *SWEEP, "task=wikitext,squad")[0] == 130


def test_a_signal_is_left_to_a_scheduler_that_handles_it(sweep, monkeypatch):
    caught = []
    before = signal.signal(signal.SIGTERM, lambda *_: caught.append("requeue"))
    try:
        with monkeypatch.context() as patch:
            signalled_in_call(patch, Engine, "run", 1, signal.SIGTERM)
            assert sweep()[0] == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == ["requeue"]
