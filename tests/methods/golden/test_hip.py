"""HiP against numbers made from its definition, in other hands; the restricted code was not run."""

import pytest
import torch

from golden import attended, by_head, described, settings
from harness.methods import create
from harness.methods.cost import ELEMENT
from harness.methods.decoding import steps


@settings("hip")
def test_outputs_are_those_of_the_definition(setting):
    found = setting.decode(create("hip", **setting.given))
    torch.testing.assert_close(found, setting.expected(), atol=1e-4, rtol=0)


@settings("hip")
def test_the_same_tokens_are_attended_to(setting):
    query, *_ = tensors = setting.tensors(torch.float64)
    kept = attended(create("hip", **setting.given), *tensors)
    assert torch.equal(kept, by_head(setting.array("kept").bool(), query.shape[1]))


@settings("hip")
def test_the_meter_counts_the_keys_that_are_scored_and_the_tokens_that_are_read(setting):
    method, tensors = create("hip", **setting.given), setting.tensors()
    for step, state in steps(method, *tensors):
        method.attend(step, state)
    moved = torch.stack(method.meter(state).steps).double().mean() / ELEMENT
    _, heads, _, width = tensors[1].shape
    scored = described("hip")[setting.case]["mean_keys_scored"][setting.name]
    read = float(setting.array("kept").double().sum(-1).mean())
    assert float(moved) / heads / width == pytest.approx(scored + 2 * read + 2)
