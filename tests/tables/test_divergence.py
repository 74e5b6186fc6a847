"""An example's divergence is over all its requests: steps weigh the same, and so do rounds of drafting."""

import math

import pytest
from support import record

from harness.engine.divergence import DRAFTS as COUNTED
from harness.engine.divergence import Divergence, Drafts
from harness.store.records import DivergenceRecord
from harness.tables.columns import DRAFTS, SUMMARY, names
from harness.tables.divergence import divergence

EMPTY = ["kl", "agreement", "lost", "accepted_2", "accepted_4", "accepted_8"]


def compared(steps, kl, agreement, lost, drafts):
    found = Divergence(steps, kl, agreement, lost, {k: Drafts(*of) for k, of in zip(DRAFTS, drafts, strict=True)})
    return record(divergence=DivergenceRecord(**found.record))


def test_requests_weigh_by_their_steps_and_drafts_by_their_rounds():
    one = compared(9, 0.25, 8 / 9, 0.5, [(3, 5), (2, 6), (1, 7)])
    other = compared(3, 0.05, 2 / 3, 0.1, [(1, 2), (0, 0), (0, 0)])
    found = divergence([one, other, record()])
    assert found == pytest.approx(
        {
            "kl": (9 * 0.25 + 3 * 0.05) / 12,
            "agreement": 10 / 12,
            "lost": (9 * 0.5 + 3 * 0.1) / 12,
            "accepted_2": 7 / 4,
            "accepted_4": 3,
            "accepted_8": 7,
        }
    )


def test_what_was_not_compared_and_drafts_without_a_round_are_empty():
    assert [name for name, value in divergence([record(), record()]).items() if math.isnan(value)] == EMPTY
    short = divergence([compared(3, 0.0, 1.0, 0.0, [(1, 2), (0, 0), (0, 0)])])
    assert (short["accepted_2"], math.isnan(short["accepted_4"]), math.isnan(short["accepted_8"])) == (2, True, True)


def test_there_is_a_column_for_each_length_of_draft_that_is_counted():
    assert DRAFTS == COUNTED
    assert set(EMPTY) <= set(names(SUMMARY))
