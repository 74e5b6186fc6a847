"""What a cell's rows say beside its scores, and how its metrics are summed up."""

from types import SimpleNamespace

import pytest
from support import record

from harness.evaluation.decided import Example
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.requests import Request
from harness.evaluation.scores import Metric
from harness.methods import create
from harness.methods.cell import Cell
from harness.sweep.score import _aggregates, decided_before


@pytest.mark.parametrize("masks", [False, True])
def test_a_method_that_masks_the_prefill_acts_before_the_first_token(masks):
    cell = Cell.of("window", create("window", k=8, mask_prefill=masks))
    prompt = TaskPrompt((1,), 9, request=Request("t", "e", "generate", context="x"), part=0)
    done = {(prompt.key, cell.id): record(tokens=[1])}
    found = decided_before(SimpleNamespace(prompts=[prompt], encoder=None), cell, done)
    assert found == (set() if masks else {Example("t", "e")})


def test_a_metric_that_is_no_mean_of_examples_under_one_cell_is_none_under_the_others():
    by_chance = Metric("group", "acc", True, 0.5, is_mean=True)
    no_mean = Metric("group", "acc", True, 0.4, is_mean=False)
    mean = Metric("member", "acc", True, 0.5, is_mean=True)
    found = _aggregates({"dense": [by_chance, mean], "sparq": [no_mean, mean]})
    assert found == {("group", "dense", "acc"): 0.5, ("group", "sparq", "acc"): 0.4}
