"""A folder of configuration by somebody else is plain files of moderate size: nothing is waited for without end."""

import os

import pytest

from harness.commands.compose import CONF
from harness.commands.folder import MOST_BYTES, MOST_FILES, check_folder
from harness.commands.loader import composing
from harness.errors import InputError

LAUGHS = "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def pipe(folder):
    os.mkfifo(folder / "x.yaml")


def device(folder):
    (folder / "x.yaml").symlink_to("/dev/zero")


def dangling(folder):
    (folder / "x.yaml").symlink_to("nowhere")


def circle(folder):
    (folder / "x.yaml").symlink_to("x.yaml")


def a_machine(folder):
    (folder / "experiment").symlink_to("/")


def round_and_round(folder):
    for name in "abc":
        (folder / name).symlink_to(folder)


def a_folder(folder):
    (folder / "group.yaml").mkdir()


def laughs(folder):
    (folder / "x.yaml").write_text(LAUGHS)


def large(folder):
    with (folder / "x.yaml").open("wb") as file:
        file.truncate(MOST_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (pipe, "no plain file"),
        (device, "no plain file"),
        (a_machine, "more than"),
        (round_and_round, "more than"),
        (dangling, "cannot be read"),
        (circle, "cannot be read"),
        (laughs, "YAML alias"),
        (large, "no configuration is as large"),
    ],
)
def test_what_would_never_end_is_refused_wherever_it_lies(tmp_path, make, why):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    make(tmp_path / "deep" / "down")
    with pytest.raises(InputError, match=rf"^--config-dir=.*{why}"), composing(CONF, tmp_path):
        pytest.fail("it was composed from")


def test_a_folder_of_too_many_files_is_refused(tmp_path):
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.yaml").touch()
    with pytest.raises(InputError, match=f"more than {MOST_FILES} files and folders"):
        check_folder(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        check_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"a: '*'\n", b"a: 2 * 3\n", b"\xff\xfe", b"a: [", b"a: ${b}\nb: &b 1\n"])
def test_what_repeats_nothing_is_left_to_hydra(tmp_path, content):
    (tmp_path / "x.yaml").write_bytes(content)
    a_folder(tmp_path)
    (tmp_path / "notes.txt").symlink_to("/dev/zero")
    check_folder(tmp_path)


def test_the_projects_own_configuration_would_be_taken():
    check_folder(CONF)
