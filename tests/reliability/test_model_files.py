"""What lies in a model's folder: plain files of its own are read, and nothing else is ever opened."""

import os
import shutil
import socket

import pytest
from support.model_folders import copy_of, everything, refused

from harness.__main__ import main
from harness.hf import ModelSpec, find
from harness.hf.vetting import files

READ = ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json", "x.safetensors", "vocab.txt"]


@pytest.fixture
def folder(tiny):
    """A copy of the tiny model."""
    with copy_of(tiny) as copied:
        yield copied


def absent(folder, name):
    """A path of a file that is not there any more."""
    (folder / name).unlink(missing_ok=True)
    return folder / name


@pytest.mark.parametrize("name", [*READ, "chat_templates/rag.jinja"])
def test_a_pipe_is_refused_and_not_waited_for(folder, name):
    (folder / "chat_templates").mkdir()
    os.mkfifo(absent(folder, name))
    assert f"{name}' is no plain file but a pipe, a socket or a device: remove it" in refused(folder)


def test_a_socket_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("vocab.txt")
        assert "vocab.txt' is no plain file but a pipe, a socket or a device: remove it" in refused(folder)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/dev/zero", "is no plain file but a pipe, a socket or a device"),
        ("/nowhere/at/all", "is a link that leads nowhere: remove it or download the model again"),
        ("/etc/passwd", "leads out of the model's folder, to '/etc/passwd': put the file itself in its place"),
        ("../outside", "leads out of the model's folder, to "),
    ],
)
def test_a_link_to_anything_but_a_file_of_the_folder_is_refused(folder, name, target, why):
    (folder.parent / "outside").write_text("{}")
    absent(folder, name).symlink_to(target)
    assert f"{name}' {why}" in refused(folder)


def test_links_in_a_circle_are_refused(folder):
    absent(folder, "vocab.txt").symlink_to("merges.txt")
    (folder / "merges.txt").symlink_to("vocab.txt")
    assert "' is a link that leads nowhere" in refused(folder)


def test_a_folder_of_templates_that_leads_out_is_refused(folder):
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "rag.jinja").write_text("x")
    (folder / "chat_templates").symlink_to(folder.parent / "elsewhere")
    assert "chat_templates/rag.jinja' leads out of the model's folder" in refused(folder)


def test_links_within_a_folder_and_a_link_to_the_whole_folder_are_read(folder):
    (folder / "real").mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(folder / "real" / name)
        (folder / name).symlink_to(f"real/{name}")
    (folder.parent / "linked").symlink_to(folder)
    assert everything(folder.parent / "linked")


@pytest.mark.parametrize("absolute", [True, False])
def test_a_snapshot_of_the_hubs_cache_and_a_folder_linked_into_it_are_read(folder, absolute):
    repository = folder.parent / "models--own--tiny"
    blobs, snapshot, local = repository / "blobs", repository / "snapshots" / "c0ffee", folder.parent / "local"
    for made in (blobs, snapshot, local):
        made.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        shutil.move(file, blobs / str(number))
        (snapshot / file.name).symlink_to(blobs / str(number) if absolute else f"../../blobs/{number}")
        (local / file.name).symlink_to(blobs / str(number))
    assert everything(snapshot)
    assert everything(local)


def test_a_borrowed_tokenizers_folder_is_held_to_the_same(folder, tiny):
    os.mkfifo(absent(folder, "tokenizer.json"))
    assert "tokenizer.json' is no plain file" in refused(tiny, tokenizer=str(folder))


def test_a_gguf_file_is_held_to_the_same(folder):
    (folder / "deep").mkdir()
    os.mkfifo(folder / "deep" / "x.gguf")
    assert "deep/x.gguf' is no plain file" in refused(folder, gguf_file="deep/x.gguf")


@pytest.mark.parametrize(("name", "most"), [("x.safetensors", files.MOST_WEIGHTS), ("tokenizer.json", files.MOST_TEXT)])
def test_a_file_without_measure_is_refused_unread(folder, name, most):
    with (folder / name).open("ab") as file:
        file.truncate(most + 1)  # a hole, which takes no space
    assert f"{name}' has {most + 1:,} bytes, more than {most:,}: no model needs such a file" in refused(folder)


def test_weights_far_larger_than_the_model_are_refused_unread(folder):
    with (folder / "other.safetensors").open("ab") as file:
        file.truncate(files.MOST_WEIGHTS)
    assert "the 112,960 numbers that its configuration describes need far less" in refused(folder)


def test_a_folder_of_very_many_files_that_would_be_read_is_refused(folder, monkeypatch):
    monkeypatch.setattr(files, "MOST_FILES", 50)
    for number in range(60):
        (folder / f"{number}.png").touch()
    assert everything(folder)
    for number in range(60):
        (folder / f"{number}.txt").touch()
    assert "holds more than 50 files: name the folder of one model" in refused(folder)


SAME = ["model=custom", "model.path={}", "data=embedded", "task=squad"]
COMMANDS = {
    "run": SAME,
    "plan": SAME,
    "lm-eval run": ["--model", "harness", "--model_args", "pretrained={},method=dense", "--tasks", "arc_easy"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_takes_a_model_refuses_a_hostile_folder_in_one_sentence(
    folder, tmp_path, monkeypatch, capsys, command
):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(absent(folder, "model.safetensors"))
    assert main([*command.split(), *(argument.format(folder) for argument in COMMANDS[command])]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "model.safetensors' is no plain file but a pipe, a socket or a device: remove it" in err.splitlines()[-1]


def test_files_that_nobody_reads_may_be_anything(folder):
    os.mkfifo(folder / "README.md")
    (folder / ".cache").symlink_to("/nowhere")
    (folder / "figure.png").symlink_to("/etc/passwd")
    assert everything(folder)


def test_a_name_of_any_bytes_counts_in_the_fingerprint(folder):
    def fingerprint():
        return find(ModelSpec(name="m", path=str(folder), device="cpu")).fingerprint()

    before = fingerprint()
    (folder / os.fsdecode(b"\xff.txt")).touch()
    assert fingerprint() != before
