"""A protocol says what it changed, and an old folder why it is not gone on with."""

import json

from support.sweeps import launch, sweep_job

from harness.sweep.protocol import CHANGES, PROTOCOL, changes_since, not_reused


def write_run(folder, protocol):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"protocol": protocol}))
    return folder


def test_every_protocol_after_the_first_says_what_it_changed():
    assert sorted(CHANGES) == list(range(2, PROTOCOL + 1))
    assert all(CHANGES.values())
    assert changes_since(PROTOCOL) == ()
    assert changes_since(1) == tuple(change for number in sorted(CHANGES) for change in CHANGES[number])


def test_only_folders_of_the_same_model_task_and_data_under_another_protocol_are_named(tmp_path):
    mine = write_run(tmp_path / "m-t-hub-1", PROTOCOL)
    write_run(tmp_path / "m-t-hub-2", PROTOCOL)
    write_run(tmp_path / "m-t-local-3", 2)
    write_run(tmp_path / "other-t-hub-4", 2)
    write_run(tmp_path / "m-u-hub-5", 2)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{")
    assert list(not_reused(mine)) == []
    write_run(tmp_path / "m-t-hub-6", 2)
    write_run(tmp_path / "m-t-hub-7", 2)
    (sentence,) = not_reused(mine)
    assert "m-t-hub-6, m-t-hub-7" in sentence
    assert all(change in sentence for change in CHANGES[3])


def test_a_run_under_another_protocol_is_computed_anew_and_the_console_says_why(tiny, tmp_path, monkeypatch, capsys):
    was, results = PROTOCOL - 1, tmp_path / "results"
    with monkeypatch.context() as patch:
        for module in ("protocol", "prepare", "run"):
            patch.setattr(f"harness.sweep.{module}.PROTOCOL", was)
        assert launch(sweep_job(tiny, results, "limit=1", "methods=[dense]")) == 0
    (old,) = results.glob("custom-*")
    capsys.readouterr()
    assert launch(sweep_job(tiny, results, "limit=1", "methods=[dense]")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"not reused, because computed under protocol {was}, not {PROTOCOL}: {old.name}" in said
    assert len(list(results.glob("custom-*"))) == 2
