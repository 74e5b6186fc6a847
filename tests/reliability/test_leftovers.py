"""What a process that was killed inside a write has left is gone after the next launch, and nothing else is."""

import os

import pytest

from harness.store.files import replacing, sweep_partials
from harness.store.store import SHARED, Store


class Killed(BaseException):
    """Stands for the end of a process: nothing of its own runs any more."""


def half_written(file, monkeypatch):
    """What a kill in the middle of a write leaves beside a file."""
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        with pytest.raises(Killed), replacing(file) as partial:
            partial.write_text("half")
            raise Killed
    assert partial.exists()
    return partial


@pytest.mark.parametrize("name", SHARED)
def test_the_next_launch_of_a_run_sweeps_what_a_kill_left_of_any_file(tmp_path, monkeypatch, name):
    partial = half_written(tmp_path / name, monkeypatch)
    with Store(tmp_path, "key"):
        assert not partial.exists()


def test_a_launch_that_another_one_keeps_out_sweeps_nothing(tmp_path, monkeypatch):
    with Store(tmp_path, "key"):
        partial = half_written(tmp_path / "run.json", monkeypatch)
        with pytest.raises(ValueError, match="another run is writing"), Store(tmp_path, "key"):
            pass
        assert partial.exists()


def test_only_what_is_ours_is_swept(tmp_path):
    file = tmp_path / "run.json"
    others = [".notes.json.5.partial", ".run.json.partial", ".run.json.x.partial", "run.json.5.partial", "run.json"]
    for name in [*others, f".run.json.{os.getpid()}.partial"]:
        (tmp_path / name).touch()
    sweep_partials([file])
    assert {file.name for file in tmp_path.iterdir()} == set(others)


def test_a_finished_run_leaves_no_such_file_in_the_folder_of_all_results(sweep, finished, tmp_path, monkeypatch):
    left = [half_written(folder / "summary.csv", monkeypatch) for folder in (finished, tmp_path / "results")]
    assert sweep().code == 0
    assert [file for file in left if file.exists()] == []
    assert list((tmp_path / "results").rglob("*.partial")) == []
