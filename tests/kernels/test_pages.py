"""Pages chosen by bounds on their keys, in kernels, are those that Quest chooses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernels import Inputs, error

from harness import methods
from harness.kernels import find_binding
from harness.kernels.pages import attend_to_pages
from harness.kernels.shared.tiles import AttendTiles


def is_as_defined(x, **knobs):
    """Whether the kernels compute Quest with these knobs."""
    return error(x.by_kernel("quest", **knobs), x.expected("quest", **knobs)) < 1e-5


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("keep_last_page", [False, True])
@pytest.mark.parametrize("budget", [16, 64, 400])
def test_attention_to_the_best_pages_equals_the_definition(group, keep_last_page, budget):
    assert is_as_defined(Inputs.random(g=group), token_budget=budget, keep_last_page=keep_last_page)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 90),
    padding=st.integers(0, 88),
    size=st.integers(1, 40),
    pages=st.integers(1, 8),
    keep_last_page=st.booleans(),
)
def test_pages_of_any_size_equal_the_definition_in_prompts_of_any_length(n, padding, size, pages, keep_last_page):
    x = Inputs.random(h=1, n=n, d=16, padding=min(padding, n - 2), seed=n)
    assert is_as_defined(x, token_budget=pages * size, page_size=size, keep_last_page=keep_last_page)


def test_more_pages_than_a_program_scores_equal_the_definition():
    assert is_as_defined(Inputs.random(b=1, h=1, n=3000, d=16), token_budget=64, page_size=2)


def test_equal_pages_are_chosen_newest_first():
    x = Inputs.random(n=100, padding=4)
    x.k[:, :, 20:80] = x.k[:, :, 20:21]
    assert is_as_defined(x, token_budget=32, page_size=4)


def test_how_many_tokens_are_decoded_is_read_from_the_device():
    x = Inputs.random(n=150)
    assert error(x.by_kernel("quest", longest=192, token_budget=64), x.expected("quest", token_budget=64)) < 1e-5


@pytest.mark.parametrize("tiles", [AttendTiles(16, 1, 1), AttendTiles(32, 2, 3)], ids=str)
def test_however_attention_to_pages_is_split_the_output_is_the_same(tiles):
    x = Inputs.random(g=2, n=151, d=32)
    pages = pages_of(x, token_budget=70, page_size=7)
    output = attend_to_pages(x.q, x.cache(transposed=False), pages, count=10, tiles=tiles)
    assert error(output, x.expected("quest", token_budget=70, page_size=7)) < 1e-5


@pytest.mark.parametrize("newest", [59, 60], ids=["a page of its own", "within a page"])
def test_bounds_widened_while_decoding_are_those_of_a_longer_prompt(newest):
    x = Inputs.random(n=newest, padding=2, d=32)
    grown = pages_of(x, token_budget=20, page_size=4)
    for _ in range(2):  # a step may be repeated
        attend_to_pages(x.q, x.cache(transposed=False), grown, count=3)
    whole = methods.create("quest", token_budget=20, page_size=4).start(x.prefix(torch.float32, newest)).table
    assert torch.equal(grown.bounds, whole)


def test_heads_that_choose_alone_and_pages_of_codes_run_in_torch():
    assert find_binding(methods.create("quest", token_budget=64, per_query_head=True)) is None
    assert find_binding(methods.create("quest", token_budget=64, base="kivi")) is None


def pages_of(x, **knobs):
    """The bounds of all but the newest token, as a kernel starts from them."""
    method = methods.create("quest", **knobs)
    return find_binding(method).for_layer(x.prefix(torch.float32)).keywords["pages"]
