"""What a cell's rows say beside its scores."""

from types import SimpleNamespace

import pytest
from support import record

from harness.evaluation.decided import Example
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.requests import Request
from harness.methods import create
from harness.methods.cell import Cell
from harness.sweep.score import decided_before


@pytest.mark.parametrize("masks", [False, True])
def test_a_method_that_masks_the_prefill_acts_before_the_first_token(masks):
    cell = Cell.of("window", create("window", k=8, mask_prefill=masks))
    prompt = TaskPrompt((1,), 9, request=Request("t", "e", "generate", context="x"), part=0)
    done = {(prompt.key, cell.id): record(tokens=[1])}
    found = decided_before(SimpleNamespace(prompts=[prompt], encoder=None), cell, done)
    assert found == (set() if masks else {Example("t", "e")})
