"""The best tokens by cheap scores: one choice per KV head or per query head, and ragged counts."""

import pytest
import torch
from support import close, random_case, steps

from harness.attention import attend_to_best, best_of
from harness.methods import create


def one_step(pads=(0, 4)):
    step, _ = next(steps(random_case(pads), create("dense")))
    b, h, g, _ = step.q.shape
    scores = torch.randn(b, h, g, step.length, generator=torch.Generator().manual_seed(1))
    return step, scores


def by_hand(step, row, head, group, kept):
    """Exact attention of one query head over the kept columns."""
    logits = step.scores(step.q[row, head, group], step.k[row, head, kept])
    return logits.softmax(-1) @ step.v[row, head, kept]


def best_columns(step, scores, row, count):
    """Columns of the row's best live tokens by scores [N]."""
    live = step.mask[row, 0].nonzero()[:, 0].tolist()
    return sorted(live, key=lambda c: scores[c].item())[-count:]


@pytest.mark.parametrize("count", [5, torch.tensor([7, 3])], ids=["one_count", "by_row"])
@pytest.mark.parametrize("per_query_head", [False, True])
def test_the_best_live_tokens_are_attended_to_and_no_other(count, per_query_head):
    step, scores = one_step()
    found = attend_to_best(step, scores, count, per_query_head)
    for row, head, group in torch.cartesian_prod(*map(torch.arange, step.q.shape[:3])).tolist():
        ranked = scores[row, head, group] if per_query_head else scores[row, head].sum(0)
        kept = best_columns(step, ranked, row, count if isinstance(count, int) else int(count[row]))
        close(found[row, head, group], by_hand(step, row, head, group, kept))


@pytest.mark.parametrize("per_query_head", [False, True])
def test_more_than_there_are_is_all(per_query_head):
    step, scores = one_step()
    dense = create("dense").attend(step, None)
    close(attend_to_best(step, scores, 99, per_query_head), dense)
    close(attend_to_best(step, scores, torch.tensor([99, 22]), per_query_head), dense)


def test_ties_go_to_the_newest_also_where_rows_keep_different_numbers():
    index, live = best_of(torch.zeros(2, 3, 6), torch.tensor([4, 1]))
    assert [set(index[0, 0, live[0, 0]].tolist()), set(index[1, 2, live[1, 2]].tolist())] == [{2, 3, 4, 5}, {5}]
