"""Scissorhands' released form against its authors' attention."""

import pytest
import torch
from support import close, one_layer, random_case, steps

from golden import attended, settings
from harness import methods
from harness.errors import InputError
from harness.methods import create
from harness.methods.cost import ELEMENT
from harness.methods.decoding import steps as steps_of

KNOBS = ("form", "window", "recent", "pivotal")


def method_of(setting):
    return create("scissorhands", begin=0, **{knob: setting.given[knob] for knob in KNOBS})


def is_released(setting):
    return setting.given["kind"] == "scissorhands"


@settings("scissorhands", is_released)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 2e-5)


@settings("scissorhands", is_released)
def test_the_tokens_that_are_attended_to_are_the_authors(setting):
    kept = attended(method_of(setting), *setting.tensors(torch.float64))
    assert torch.equal(kept, setting.array("kept").bool())


@settings("scissorhands", is_released)
def test_the_meter_counts_all_keys_the_values_that_are_kept_and_the_stamps(setting):
    method, (query, key, *rest) = method_of(setting), setting.tensors()
    for step, state in steps_of(method, query, key, *rest):
        method.attend(step, state)
    kept = setting.array("kept").sum((1, 3)).double()
    heads, p, t = key.shape[1], rest[-1], kept.shape[1]
    seen = torch.arange(p + 1, p + t + 1)
    expected = (heads * (seen + 2) + kept) * key.shape[3] + heads * (2 * seen + 1)
    assert torch.equal(torch.stack(method.meter(state).steps, 1) / ELEMENT, expected)


@settings("scissorhands", lambda setting: setting.given["kind"] == "dense")
def test_with_a_budget_for_all_it_is_the_authors_dense_attention(setting):
    close(setting.decode(create("scissorhands", k=200)), setting.expected(), 2e-5)


def test_a_bounded_cache_grows_to_k_and_falls_by_half():
    method, sizes = create("scissorhands", k=8, window=5, recent=2), []
    for step, state in steps(random_case(pads=(0, 14), t=13), method):
        method.attend(step, state)
        sizes.append(list(state.slots.counts))
    assert [long for long, _ in sizes] == [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8, 5]
    assert [short for _, short in sizes] == [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8, 5]


def test_a_form_has_the_knobs_that_it_means():
    with pytest.raises(InputError, match="method 'scissorhands' needs k"):
        create("scissorhands")
    with pytest.raises(InputError, match="Scissorhands has no k with form=released: leave it out"):
        create("scissorhands", form="released", k=8)
    with pytest.raises(InputError, match="Scissorhands needs k with form=budget: set it"):
        create("scissorhands", k=None)
    with pytest.raises(InputError, match="needs pivotal as a number of largest weights, or a share"):
        create("scissorhands", k=8, pivotal=1.5)


def test_a_ratio_is_solved_where_there_is_a_budget():
    assert methods.open_knobs("scissorhands", {}) == ["k"]
    assert methods.open_knobs("scissorhands", {"form": "released"}) == []
    assert 440 <= methods.solve("scissorhands", one_layer(2, 1000, 64)).k <= 500
    with pytest.raises(InputError, match="form=released keeps what the data decide"):
        methods.solve("scissorhands", one_layer(2, 1000, 64), form="released")
