"""How units are cut into batches."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.engine import Work
from harness.evaluation.batches import Limits, Piece, batches
from harness.evaluation.requests import Request, Unit

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 6), st.booleans())


def unit(number, prompt, steps, forced):
    work = Work((1,) * prompt, forced=(1,) * steps) if forced else Work((1,) * prompt, new_tokens=steps)
    return Unit(Request("t", "e", "generate", context=str(number)), 0, work)


@given(st.lists(SIZES, max_size=25), st.integers(1, 4), st.integers(1, 200), st.none() | st.integers(1, 4))
def test_a_batch_holds_what_the_limits_allow_and_would_not_hold_the_next_unit_too(sizes, cells, tokens, most):
    units = [unit(i, *size) for i, size in enumerate(sizes)]
    found = list(batches(units, cells, Limits(tokens, most)))
    assert sorted(u.key for batch in found for u in batch) == sorted(u.key for u in units)

    def fits(batch):
        return Piece(batch, range(cells)).tokens <= tokens and len(batch) <= (most or len(batch))

    assert all(fits(batch) for batch in found if len(batch) > 1)
    for batch, following in itertools.pairwise(found):
        forced = [u.work.forced is not None for u in (batch[0], following[0])]
        assert forced == sorted(forced)
        if forced[0] == forced[1]:
            assert not fits([*batch, following[0]])
            assert min(len(u.work.prompt) for u in batch) >= max(len(u.work.prompt) for u in following)
