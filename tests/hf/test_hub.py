"""Hub names are pinned to a commit in one request; what a network does is one sentence, soon."""

from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from harness.errors import InputError
from harness.hf import find
from harness.hf.hub import pinned
from harness.hf.spec import ModelSpec

COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.fixture
def hub(monkeypatch):
    """A hub whose every answer is given by the test; returns the questions."""
    asked = []

    def answers(error=None):
        def model_info(_, path, revision=None, timeout=None):
            asked.append((path, revision, timeout))
            if error is not None:
                raise error
            return type("Info", (), {"sha": COMMIT})()

        monkeypatch.setattr(HfApi, "model_info", model_info)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        return asked

    return answers


def of_the_hub(kind):
    return kind("404 Client Error", response=SimpleNamespace(status_code=404, headers={}, request=None))


def test_a_folder_is_pinned_to_nothing_and_nobody_is_asked(hub, tmp_path):
    asked = hub(ConnectionError())
    assert pinned("m", str(tmp_path), None) is None
    assert asked == []


def test_a_name_is_pinned_to_the_commit_that_the_hub_names(hub):
    asked = hub()
    assert pinned("m", "own/tiny", "v1") == COMMIT
    ((path, revision, timeout),) = asked
    assert (path, revision, timeout < 5) == ("own/tiny", "v1", True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (of_the_hub(RepositoryNotFoundError), "the hub shows no model of that name"),
        (of_the_hub(RevisionNotFoundError), "has no revision v1 on the hub"),
        (ConnectionError("Name or service not known"), r"the hub cannot be reached \(Name or service not known\)"),
        (TimeoutError("timed out"), r"the hub cannot be reached \(timed out\)"),
        (OfflineModeIsEnabled("offline mode is enabled"), r"the hub cannot be reached \(offline mode is enabled\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_name_that_cannot_be_had_is_refused_in_one_sentence_after_one_question(hub, error, words):
    asked = hub(error)
    with pytest.raises(InputError, match=f"model 'm': .*{words}") as refusal:
        find(ModelSpec(name="m", path="own/absent", revision="v1", device="cpu"))
    assert "\n" not in str(refusal.value)
    assert len(asked) == 1


def test_a_path_that_is_no_name_is_refused_as_both(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # refused before anything is asked
    with pytest.raises(InputError, match="/no/such/folder is neither a folder nor a name on the hub"):
        pinned("m", "/no/such/folder", None)


def test_without_a_network_a_cached_model_is_taken_from_the_cache_and_nothing_else_waits(hub, monkeypatch, tmp_path):
    snapshot = tmp_path / "models--own--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--own--tiny" / "refs").mkdir()
    (tmp_path / "models--own--tiny" / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub(ConnectionError("no route"))
    assert pinned("m", "own/tiny", None) == COMMIT
    assert constants.is_offline_mode()


def test_a_folder_without_weights_is_one_sentence(tmp_path, tiny):
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text())
    with pytest.raises(InputError, match="model 'm': its weights cannot be read: "):
        find(ModelSpec(name="m", path=str(tmp_path), device="cpu")).load()
