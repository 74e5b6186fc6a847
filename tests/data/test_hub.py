"""A hub that cannot be reached is asked once; after that everything comes from the cache, or is missing at once."""

import pytest
from huggingface_hub import HfApi, constants

from harness.data.hub import hub_answers, use_cache_without_hub


def _broken(*_, **__):
    raise ConnectionError("Name or service not known")


@pytest.mark.parametrize(("hub", "answers"), [(_broken, False), (lambda *_, **__: object(), True)])
def test_the_hub_s_library_asks_no_further_where_the_hub_does_not_answer(monkeypatch, hub, answers):
    monkeypatch.setattr(HfApi, "dataset_info", hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    use_cache_without_hub()
    assert hub_answers() is answers
    assert constants.HF_HUB_OFFLINE is not answers


def test_the_question_is_not_waited_for_long(monkeypatch):
    asked = []
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, timeout: asked.append(timeout))
    assert hub_answers()
    assert max(asked) < 10
