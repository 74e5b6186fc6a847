"""ZipCache against its authors' quantiser: the salient tokens, what the cache reads back as, the outputs."""

import pytest
import torch
from support import close

from golden import settings
from harness.attention.statistics import ReceivedFromProbes
from harness.methods import create
from harness.methods.decoding import steps

KNOBS = ("low_ratio", "bits_high", "bits_low")
TOLERANCE = 2e-5


def is_zip_cache(setting):
    return setting.given["kind"] == "zip_cache"


@pytest.fixture
def method(setting, monkeypatch):
    probe = setting.array("probe")[None] if setting else None
    monkeypatch.setattr(ReceivedFromProbes, "probes", lambda *_: (probe, torch.ones_like(probe, dtype=torch.bool)))
    return create("zip_cache", **{knob: setting.given[knob] for knob in KNOBS}) if setting else None


@settings("zip_cache", is_zip_cache)
def test_the_outputs_are_the_authors(setting, method):
    close(setting.decode(method), setting.expected(), TOLERANCE)


@settings("zip_cache", is_zip_cache)
def test_the_salient_tokens_and_what_is_read_back_are_the_authors(setting, method):
    _, state = next(steps(method, *setting.tensors()))
    k, v = (state.by_column(x) for x in state.read())
    assert torch.equal(state.salient, setting.array("kept"))
    close(k, setting.array("key_dequantized"), TOLERANCE)
    close(v, setting.array("value_dequantized"), TOLERANCE)


def test_half_of_the_probes_are_the_last_queries_and_the_others_are_drawn_of_those_before():
    live = torch.ones(2, 60, dtype=torch.bool)
    live[1, :20] = False
    prompt = type("Prompt", (), {"live": live, "layer": 3})()
    columns, exists = ReceivedFromProbes(0.2, seed=5).probes(prompt)
    assert exists.sum(1).tolist() == [6 + 6, 4 + 4]
    for column, there, first, p in zip(columns, exists, (0, 20), (60, 40), strict=True):
        places = [c - first for c in column[there].tolist()]
        drawn, last = places[: p // 10], places[p // 10 :]
        assert last == list(range(p - p // 10, p))
        assert all(0 <= place < p - p // 10 for place in drawn)
    assert not torch.equal(columns[0], ReceivedFromProbes(0.2, seed=6).probes(prompt)[0][0])


def test_after_the_gap_all_tokens_are_in_codes_again_and_no_more_than_the_share_of_new_ones_is_low():
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 4, 50, 8), torch.randn(1, 2, 50, 8), torch.randn(1, 2, 50, 8)
    method = create("zip_cache", low_ratio=0.5, gap=4)
    for step, state in steps(method, q, k, v, torch.ones(1, 50, dtype=torch.bool), 40):
        before = state.exact
        method.attend(step, state)
        assert state.exact == (0 if before == 3 else before + 1)
    assert (state.tokens, state.exact) == (48, 2)
    assert state.salient[..., 40:48].sum(-1).eq(4).all()
