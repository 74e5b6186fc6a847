"""ThinK against its authors' pruner and decode steps, alone, and what a base changes."""

import dataclasses

import pytest
import torch
from support import close, random_case, steps

from golden import settings
from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget, create
from harness.methods.cost import LayerAt
from harness.methods.decoding import steps as steps_of

KNOBS = ("pruning_ratio", "recent_size", "query_window", "per")
SMOLLM2 = (LayerShape(3, 64, group=3),) * 30


def method_of(setting):
    return create("think", **{knob: setting.given[knob] for knob in KNOBS})


def is_think(setting):
    return setting.given["kind"] == "think"


@settings("think", is_think)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 1e-5)


@settings("think", is_think)
def test_the_channels_left_are_the_authors(setting):
    _, state = next(steps_of(method_of(setting), *setting.tensors()))
    expected = setting.array("kept_channels")
    at = state.channels[:, :, None, :, None] == torch.arange(expected.shape[2])
    found = (at & state.own[..., None]).any(3)
    heads = expected.shape[1] // found.shape[1]
    assert torch.equal(found.expand(-1, -1, heads, -1).flatten(1, 2), expected)


@pytest.mark.parametrize("window", [3, 9])
def test_alone_what_a_sliding_window_dropped_has_no_influence(window):
    method = create("think", pruning_ratio=0.5, recent_size=1, query_window=5)
    case, hostile = random_case(p=14, t=6), random_case(p=14, t=6)
    hostile.v[:, :, : 14 - window] += 100
    hostile.k[:, :, : 14 - window] *= -9
    both = (steps(of, method, sliding_window=window) for of in (case, hostile))
    for (step, state), (other, other_state) in zip(*both, strict=True):
        close(method.attend(step, state), method.attend(other, other_state), 1e-9)


def test_v_is_whole_so_that_twice_is_the_most_and_a_base_goes_further():
    with pytest.raises(InputError, match=r"think cannot reach ratio 2.1 .* V stays whole, so that at most half"):
        methods.solve("think", Budget(2.1, 4000, SMOLLM2))
    alone = methods.solve("think", Budget(1.25, 4000, SMOLLM2))
    assert alone.pruning_ratio == pytest.approx(0.4, abs=0.02)
    over = methods.solve("think", Budget(8, 4000, SMOLLM2), base="snapkv")
    assert (over.pruning_ratio, over.vote_window, over.base) == (0.4, 32, "snapkv")
    snapkv = methods.solve("snapkv", Budget(8, 4000, SMOLLM2))
    assert 1.2 * snapkv.k < over.k < 1.25 * snapkv.k


def test_the_cost_is_that_of_the_paper_and_a_bit_for_each_channel():
    s, d, p, kept = 1000, 128, 1000 - 32, 128 - 51
    paper = p * kept + (s - p) * d + s * d + 2 * d
    cost = create("think", pruning_ratio=0.4).cost(LayerAt(s, d, s))
    assert cost.moved == 16 * paper + d
    assert cost.held == 16 * (paper - 2 * d) + d


def test_a_base_without_its_knobs_and_knobs_without_a_base_are_refused():
    for knobs, said in (
        ({"pruning_ratio": 0.5, "k": 9}, "has no k without a base: set base=snapkv"),
        ({"pruning_ratio": 0.5, "k": 9, "vote_window": 3}, "has no k and no vote_window without a base"),
        ({"base": "snapkv", "k": 32}, "needs vote_window of at most k - 1 = 31, not 32"),
    ):
        with pytest.raises(InputError, match=f"ThinK {said}"):
            create("think", **knobs)
    assert methods.open_knobs("think", {}) == ["pruning_ratio"]
    assert methods.open_knobs("think", {"base": "snapkv"}) == ["k"]


def test_what_a_base_leaves_null_is_as_published():
    given = create("think", base="snapkv", k=40)
    assert given.resolved == dataclasses.replace(given, pruning_ratio=0.4, vote_window=32)
