"""Names and paths that no file, table or terminal can carry are refused in a sentence; long ones are told shortened."""

import contextlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.__main__ import guarded
from harness.errors import InputError, RunError
from harness.hf.spec import ModelSpec
from harness.names import LONGEST_NAME, LONGEST_PART, check_name, check_writable, folder_part
from harness.sweep.console import Console
from harness.sweep.task_spec import TaskSpec
from harness.text import printable

ESCAPES = ["a\x1b[31mred", "a\nb", "a\x00b", "a\u202eb", "a\ud800"]
FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-x", "@SUM(A1)", " =1"]


@pytest.mark.parametrize("name", ["", "  ", "m" * 300, *ESCAPES, *FORMULAS])
def test_a_name_that_no_table_could_carry_is_refused(name):
    with pytest.raises(InputError, match=r"^model.name"):
        ModelSpec(name, "somewhere")
    with pytest.raises(InputError, match=r"^task.name"):
        TaskSpec(name)


@given(st.text(max_size=2 * LONGEST_NAME))
def test_what_is_taken_as_a_name_is_one_line_and_makes_a_folder(name):
    with contextlib.suppress(InputError):
        check_name("model.name", name)
        assert name.isprintable() and len(name) <= LONGEST_NAME
        part = folder_part(name)
        assert 0 < len(part.encode()) <= LONGEST_PART and Path(part).name == part


@given(st.text())
def test_errors_are_one_printable_line_whatever_they_quote(text):
    for kind in (InputError, RunError):
        said = str(kind(f"unknown method '{text}'"))
        assert said.isprintable() and len(said) <= 30 + 10 * len(text)


def test_a_name_of_a_hundred_thousand_letters_is_told_by_its_ends(harness):
    name = "x" * 100_000
    code, _, err = harness(f"methods=[{name}]")
    (said,) = err
    assert code == 2 and "unknown method" in said and "characters)" in said
    assert len(said) < 3000


def test_what_is_short_and_prints_is_told_as_it_is():
    for text in ("a plain sentence: größe, 中文, ≈", "x" * 300):
        assert printable(text) == text


def test_the_terminal_is_shown_no_control_characters(capsys):
    Console().say("the task says \x1b[31mred\x07")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\x07" not in shown and "\\x1b" in shown


@pytest.mark.parametrize("results", ["file", "file/below", "x" * 300, "a\x00b"])
def test_results_that_cannot_be_written_are_refused_before_a_model_is_looked_for(tmp_path, results):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^results=.*cannot be written to .*: choose another folder"):
        check_writable("results", tmp_path / results)


def test_a_sweep_into_a_file_says_so_and_leaves_it(sweep, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("mine")
    monkeypatch.setattr("harness.sweep.prepare.find", lambda _: pytest.fail("a model was looked for"))
    ended = sweep(results="taken")
    assert ended.code == 2 and "taken cannot be written to (Not a directory)" in ended.err
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no folder is read-only for everyone here")
def test_a_read_only_folder_is_refused():
    with pytest.raises(InputError, match="cannot be written to"):
        check_writable("results", Path("/proc/self/results"))


def test_a_folder_that_is_not_there_yet_can_be_written_and_is_not_made(tmp_path):
    check_writable("results", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [NotADirectoryError, PermissionError, IsADirectoryError])
def test_a_path_that_the_system_refuses_is_one_sentence(error, capsys):
    number = {NotADirectoryError: 20, PermissionError: 13, IsADirectoryError: 21}[error]

    def command():
        raise error(number, os.strerror(number), "a\x1bpath")

    assert guarded(command) == 2
    assert (
        capsys.readouterr().err
        == f"harness: a\\x1bpath cannot be used ({os.strerror(number)}): choose another path, or mend it\n"
    )


def test_an_error_of_our_own_keeps_its_traceback():
    def command():
        raise FileNotFoundError(2, "No such file or directory", "ours")

    with pytest.raises(FileNotFoundError):
        guarded(command)
