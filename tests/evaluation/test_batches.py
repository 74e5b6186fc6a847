"""How prompts are cut into batches."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.attention import LayerShape
from harness.evaluation.batches import Limits, MicroBatch, batches
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.requests import Request
from harness.methods import create
from harness.methods.cell import Cell

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 6), st.booleans())


def prompt(number, tokens, steps, forced):
    request = Request("t", "e", "generate", context=str(number))
    asked = {"forced": (1,) * steps} if forced else {"new_tokens": steps}
    return TaskPrompt((1,) * tokens, **asked, request=request, part=0)


def fixed(count):
    """So many cells whose knobs are the same for every prompt."""
    return [Cell.of("window", create("window", k=k)) for k in range(1, count + 1)]


@given(st.lists(SIZES, max_size=25), st.integers(1, 4), st.integers(1, 200), st.none() | st.integers(1, 4))
def test_a_batch_holds_what_the_limits_allow_and_would_not_hold_the_next_prompt_too(sizes, cells, tokens, most):
    prompts = [prompt(i, *size) for i, size in enumerate(sizes)]
    found = list(batches(prompts, fixed(cells), Limits(tokens, most)))
    assert sorted(p.key for batch in found for p in batch) == sorted(p.key for p in prompts)

    def fits(batch):
        return MicroBatch(batch, fixed(cells)).tokens <= tokens and len(batch) <= (most or len(batch))

    assert all(fits(batch) for batch in found if len(batch) > 1)
    for batch, following in itertools.pairwise(found):
        forced = [p.forced is not None for p in (batch[0], following[0])]
        assert forced == sorted(forced)
        if forced[0] == forced[1]:
            assert not fits([*batch, following[0]])
            assert min(len(p.tokens) for p in batch) >= max(len(p.tokens) for p in following)


@given(st.lists(SIZES, max_size=25), st.integers(1, 200))
def test_rows_of_equal_knobs_decode_together_and_no_others(sizes, tokens):
    cells = [*fixed(1), Cell.per_example("window", {"initial": 0}, 2.0, [LayerShape(1, 8)])]
    prompts = [prompt(i, more + 2, *rest) for i, (more, *rest) in enumerate(sizes)]
    found = list(batches(prompts, cells, Limits(tokens)))
    assert sorted(p.key for batch in found for p in batch) == sorted(p.key for p in prompts)
    knobs = [{cells[1].method_at(len(p.tokens)).k for p in batch} for batch in found]
    assert all(len(of_batch) == 1 for of_batch in knobs)
    for (batch, mine), (following, others) in itertools.pairwise(zip(found, knobs, strict=True)):
        if mine == others and (batch[0].forced is None) == (following[0].forced is None):
            assert MicroBatch([*batch, following[0]], cells).tokens > tokens
