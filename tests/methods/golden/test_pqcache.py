"""PQCache against what the authors' code gave, with scikit-learn's k-means on the prompt's keys."""

import numpy as np
import pytest
import torch
from support import random_case, run

from golden import attended, by_head, described, settings
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget, create, decode, solve
from harness.methods.cost import ELEMENT, LayerAt
from harness.methods.decoding import steps

CODED = {"wanted": lambda setting: setting.has("centroids")}


def method_of(setting):
    """Our method, whose k and recent stand for the two ratios of the original."""
    sizes = described("pqcache")[setting.case]["sizes"][setting.name]
    knobs = {knob: setting.given[knob] for knob in ("sinks", "n_subvec", "n_bits", "max_iter")}
    return create("pqcache", k=sizes["k"], recent=sizes["local"], seed=4321, **knobs)


@settings("pqcache")
def test_outputs_are_those_of_the_authors_code(setting):
    torch.testing.assert_close(setting.decode(method_of(setting)), setting.expected(), atol=1e-4, rtol=0)


@settings("pqcache")
def test_the_same_tokens_are_attended_to(setting):
    query, *_ = tensors = setting.tensors()
    assert torch.equal(attended(method_of(setting), *tensors), by_head(setting.array("kept").bool(), query.shape[1]))


@settings("pqcache", **CODED)
def test_centroids_and_codes_are_theirs(setting):
    method, tensors = method_of(setting), setting.tensors()
    for step, state in steps(method, *tensors):
        method.attend(step, state)
    torch.testing.assert_close(state.codes.centroids, setting.array("centroids"), atol=1e-5, rtol=0)
    ever_old = tensors[1].shape[2] - 1 - method.recent - method.sinks
    found = state.codes.codes[..., method.sinks :].permute(0, 3, 1, 2)
    assert torch.equal(found[:, :ever_old], setting.array("codes").long()[:, :ever_old])
    drawn = np.random.RandomState(4321).choice(tensors[4] - method.sinks, 2**method.n_bits, replace=False)
    assert drawn.tolist() == setting.array("initial_index").tolist()


def test_a_prompt_of_no_more_tokens_than_centroids_is_attended_to_whole():
    knobs = {"k": 1, "recent": 0, "sinks": 2, "n_bits": 4}
    for pad, whole in ((0, False), (1, True)):  # 19 and 18 live tokens in the prompt
        case = random_case(pads=(pad,), p=19)
        found = decode(create("pqcache", **knobs), *case)
        dense = run("dense", {}, case)
        assert torch.allclose(found, dense) == whole


def test_the_choice_costs_packed_codes_and_the_centroids():
    method, at = create("pqcache", k=100), LayerAt(1000, 64, prompt=900)
    cost = method.cost(at)
    assert cost.choose == (1000 - 1 - 100 - 32) * 12 + (64 + 1) * 64 * ELEMENT
    assert cost.attend == (32 + 100 + 100 + 1) * 2 * 64 * ELEMENT
    assert cost.held == at.cache + (1000 - 32) * 12 + 64 * 64 * ELEMENT
    assert method.cost(LayerAt(120, 64, prompt=96)).moved == create("dense").cost(LayerAt(120, 64, prompt=96)).moved


def test_slices_that_do_not_divide_a_key_are_refused_with_the_fix():
    said = "PQCache needs n_subvec as a number that divides head dimension 8, not 3"
    with pytest.raises(InputError, match=said):
        run("pqcache", {"k": 2, "n_subvec": 3}, random_case())
    with pytest.raises(InputError, match=said):
        solve("pqcache", Budget(2, 1000, (LayerShape(1, 8),)), n_subvec=3)
