"""SparF of InstInfer is SparQ whose reads are rounded to pages: a knob of its cost, with SparQ's golden numbers."""

import pytest
import torch
from support import random_case

from harness.attention import LayerShape
from harness.methods import create, decode
from harness.methods.catalogue import settings
from harness.methods.cell import Cell
from harness.methods.cost import ELEMENT, LayerAt

KNOBS = {"r": 32, "k": 128, "local": 32}
AT = LayerAt(2000, 128, prompt=2000)


@pytest.mark.parametrize("page_bytes", [4096, 16384])
def test_pages_cost_what_the_formula_of_pages_says(page_bytes):
    elements = page_bytes // 2
    page_tokens = elements // 128
    found = create("sparq", **KNOBS, page_tokens=page_tokens).cost(AT)
    channels = 32 * -(-2000 // elements) * elements
    tokens = 2 * min(128, 2000 / page_tokens) * page_tokens * 128
    assert found.moved / ELEMENT == channels + tokens + 5 * 128


def test_what_is_computed_and_held_does_not_change():
    plain, paged = (create("sparq", r=3, k=6, local=2, page_tokens=pages) for pages in (1, 4))
    assert torch.equal(decode(plain, *random_case()), decode(paged, *random_case()))
    assert plain.cost(AT).held == paged.cost(AT).held


def test_without_pages_a_cell_is_named_and_counted_as_it_always_was():
    plain, stated = create("sparq", **KNOBS), create("sparq", **KNOBS, page_tokens=1)
    params = '{"k": 128, "local": 32, "r": 32, "reallocate": true}'
    assert Cell.of("sparq", plain).params == Cell.of("sparq", stated).params == params
    assert plain.transfers(2000, 128) == 32 * 2000 + 2 * 128 * 128 + 5 * 128
    layers = (LayerShape(1, 128),)
    given = {"k": 128, "reallocate": True}
    assert Cell.per_example("sparq", given | {"page_tokens": 1}, 4, layers).id == (
        Cell.per_example("sparq", given, 4, layers).id
    )


def test_with_pages_a_cell_has_a_name_of_its_own_and_is_made_again_from_it():
    paged = create("sparq", **KNOBS, page_tokens=16)
    assert Cell.of("sparq", paged).id != Cell.of("sparq", create("sparq", **KNOBS)).id
    assert create("sparq", **settings(paged)) == paged
