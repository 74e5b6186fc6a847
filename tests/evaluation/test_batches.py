"""How prompts are cut into batches."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.batches import Limits, MicroBatch, batches
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.requests import Request

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 6), st.booleans())


def prompt(number, tokens, steps, forced):
    request = Request("t", "e", "generate", context=str(number))
    asked = {"forced": (1,) * steps} if forced else {"new_tokens": steps}
    return TaskPrompt((1,) * tokens, **asked, request=request, part=0)


@given(st.lists(SIZES, max_size=25), st.integers(1, 4), st.integers(1, 200), st.none() | st.integers(1, 4))
def test_a_batch_holds_what_the_limits_allow_and_would_not_hold_the_next_prompt_too(sizes, cells, tokens, most):
    prompts = [prompt(i, *size) for i, size in enumerate(sizes)]
    found = list(batches(prompts, cells, Limits(tokens, most)))
    assert sorted(p.key for batch in found for p in batch) == sorted(p.key for p in prompts)

    def fits(batch):
        return MicroBatch(batch, range(cells)).tokens <= tokens and len(batch) <= (most or len(batch))

    assert all(fits(batch) for batch in found if len(batch) > 1)
    for batch, following in itertools.pairwise(found):
        forced = [p.forced is not None for p in (batch[0], following[0])]
        assert forced == sorted(forced)
        if forced[0] == forced[1]:
            assert not fits([*batch, following[0]])
            assert min(len(p.tokens) for p in batch) >= max(len(p.tokens) for p in following)
