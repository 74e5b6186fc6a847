"""CaM against its authors' attention, fed with the numbers that they drew."""

import pytest
import torch
from support import close

from golden import settings
from harness.methods import create
from harness.methods.decoding import steps
from harness.methods.eviction.cam import CaM

TOLERANCE = 2e-5
every_setting = settings("cam", lambda setting: setting.given["kind"] == "cam")


@pytest.fixture
def prepared(setting, monkeypatch):
    """Our method, which draws what the authors' did."""
    p, drawn = int(setting.array("prefill_length")), setting.array("uniform")
    monkeypatch.setattr(CaM, "luck", lambda _, state: drawn[state.position - p - 1])
    given = setting.given
    draw = {"draw": "bernoulli"}.get(given["merge"], given["merge"])
    k = given["start"] + given["recent"]
    return create("cam", k=k, initial=given["start"], merge=given["merge_tokens"], draw=draw)


@every_setting
def test_the_outputs_are_the_authors(setting, prepared):
    close(setting.decode(prepared), setting.expected(), TOLERANCE)


@every_setting
def test_the_values_of_the_window_are_the_authors_after_the_last_step(setting, prepared):
    for step, state in steps(prepared, *setting.tensors()):
        prepared.attend(step, state)
    window = state.values[:, :, 1:].clone()
    prepared.settle(window, state)
    close(window, setting.array("value_final")[:, :, -window.shape[2] :], TOLERANCE)


@settings("cam", lambda setting: setting.given["kind"] == "dense")
def test_where_all_tokens_fit_it_is_the_authors_dense_attention(setting):
    close(setting.decode(create("cam", k=200)), setting.expected(), TOLERANCE)


@settings("cam", lambda setting: setting.given.get("merge") == "draw")
def test_some_tokens_are_merged_and_some_are_not(setting, prepared):
    outputs = [
        setting.decode(method)
        for method in (prepared, *(create("cam", **knobs_of(prepared, draw)) for draw in ("always", "never")))
    ]
    assert not any(torch.allclose(outputs[0], other, atol=1e-4) for other in outputs[1:])


def knobs_of(method, draw):
    return {"k": method.k, "initial": method.initial, "merge": method.merge, "draw": draw}
