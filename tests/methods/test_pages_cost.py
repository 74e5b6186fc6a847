"""What reads of pages cost: SparF of InstInfer, which is SparQ with whole pages read, and Quest over KIVI's codes."""

import pytest
import torch
from support import random_case

from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import create, decode
from harness.methods.catalogue import settings
from harness.methods.cell import Cell
from harness.methods.cost import ELEMENT, LayerAt
from harness.methods.decoding import steps

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


OVER_KIVI = {"token_budget": 64, "page_size": 16, "dense_layers": 0, "base": "kivi"}


def test_a_selection_over_codes_reads_their_bits_and_the_scales_of_the_groups_that_it_touches():
    method = create("quest", **OVER_KIVI, base_group_size=32, base_residual_length=32)
    case = random_case(pads=(0, 7), h=1, p=100, t=1, d=64)
    ((step, state),) = steps(method, *case)
    chosen = torch.zeros(2, 1, step.length, dtype=torch.bool)
    chosen[:, :, 7 + 16 : 7 + 40] = True
    for row, first in ((0, 23), (1, 16)):
        keys = 24 * 64 * 2 + len({place // 32 for place in range(first, first + 24)}) * 64 * 32
        values = 24 * 64 * (2 + 32 / 32)
        assert state.base.bits_of(chosen, 64)[row] == keys + values
    chosen[:] = False
    chosen[:, :, -2:] = True
    assert state.base.bits_of(chosen, 64).tolist() == [2 * 2 * 64 * ELEMENT] * 2


def test_a_base_is_in_a_cells_name_and_its_knobs_need_it():
    plain, over = (create("quest", **{**OVER_KIVI, "base": base}) for base in (None, "kivi"))
    assert "base" not in Cell.of("quest", plain).params
    assert Cell.of("quest", over).id != Cell.of("quest", plain).id
    with pytest.raises(InputError, match="no base_bits without a base: set base=kivi"):
        create("quest", token_budget=64, base_bits=2)


def test_less_is_moved_and_held_over_codes():
    plain, over = (create("quest", **{**OVER_KIVI, "base": base}).cost(AT) for base in (None, "kivi"))
    assert over.attend < plain.attend / 3
    assert over.held < plain.held / 3
