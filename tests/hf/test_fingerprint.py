"""What identifies files: bytes of a folder, the commit of a hub repository, the content of a file that is converted."""

import pytest

from harness.errors import InputError
from harness.hf import fingerprint, located
from harness.hf.packaged import converted


def cached(commits):
    """Stand in for the hub's cache: repositories by name, each with the commit of its one file."""

    def cached_file(path, name, **_):
        known = name == "tokenizer_config.json" and path in commits
        return f"/cache/models--{path}/snapshots/{commits[path]}/{name}" if known else None

    return cached_file


def test_a_hub_repository_is_its_name_and_commit(monkeypatch):
    commits = {"a": "0" * 40, "b": "0" * 40}
    monkeypatch.setattr(located, "cached_file", cached(commits))
    found = [fingerprint.fingerprint(name, weights=False) for name in ("a", "b", "a")]
    commits["a"] = "1" * 40
    found.append(fingerprint.fingerprint("a", weights=False))
    assert found[0] == found[2]
    assert len(set(found)) == 3
    with pytest.raises(InputError, match="c: no file of it tells its commit"):
        fingerprint.fingerprint("c", weights=False)


def test_weights_count_where_they_are_asked_for(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "deep").mkdir()
    found = {(True, None): set(), (False, None): set(), (False, "deep/x.gguf"): set()}
    for content in ("one", "two"):
        (tmp_path / "model.safetensors").write_text(content)
        (tmp_path / "deep" / "x.gguf").write_text(content)
        for (weights, also), seen in found.items():
            seen.add(fingerprint.fingerprint(str(tmp_path), weights=weights, also=also))
    assert [len(seen) for seen in found.values()] == [2, 1, 2]


def test_a_file_of_the_same_name_and_size_is_converted_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.hf.packaged.cache_root", lambda: tmp_path / "cache")

    def convert(gguf, folder):
        (folder / "made").write_text(gguf.read_text())

    for content in ("old!", "new!", "old!"):
        (tmp_path / "x.gguf").write_text(content)
        assert (converted(tmp_path / "x.gguf", convert) / "made").read_text() == content
