"""RefreshKV against numbers made from its definition, in other hands; no code was released."""

import torch
from support import random_case, steps
from test_honesty import check_paid, entries_read

from golden import attended, by_head, settings
from harness.methods import create
from harness.methods.cost import ELEMENT
from harness.methods.decoding import steps as steps_of


@settings("refresh_kv")
def test_outputs_are_those_of_the_definition(setting):
    found = setting.decode(create("refresh_kv", **setting.given))
    torch.testing.assert_close(found, setting.expected(), atol=1e-4, rtol=0)


@settings("refresh_kv")
def test_the_same_tokens_are_attended_to(setting):
    query, *_ = tensors = setting.tensors(torch.float64)
    kept = attended(create("refresh_kv", **setting.given), *tensors)
    assert torch.equal(kept, by_head(setting.array("kept").bool(), query.shape[1]))


@settings("refresh_kv", lambda setting: setting.given["qc_stride"])
def test_the_meter_counts_what_is_read_the_newest_token_and_the_queries_compared(setting):
    method, (query, key, *rest) = create("refresh_kv", **setting.given), setting.tensors(torch.float64)
    for step, state in steps_of(method, query, key, *rest):
        method.attend(step, state)
    kept = setting.array("kept").sum((1, 3)).double()
    compared = (torch.arange(1, kept.shape[1] + 1) % method.qc_stride == 0) * query.shape[1]
    expected = (2 * kept + 2 * key.shape[1] + compared) * key.shape[3]
    assert torch.equal(torch.stack(method.meter(state).steps, 1) / ELEMENT, expected)


def test_over_a_stride_as_much_is_read_as_the_mean_says_at_its_full_step():
    method, case = create("refresh_kv", k=6, stride=3, pool=1), random_case(pads=(0, 0), p=40, t=9)
    read = torch.stack([entries_read(method, *found) for found in steps(case, method)])
    for first in range(0, 9, 3):
        counted = 3 * (method.transfers(case.p + first + 3, 8) - 2 * 8)  # a row of K and V is written, not read
        assert (read[first : first + 3].sum(0) - counted).abs().max() < 1e-9


def test_where_queries_decide_the_meter_has_all_that_is_read():
    method = create("refresh_kv", k=6, stride=0, qc_stride=1, threshold=0.1)
    case = random_case(pads=(0, 0, 0), p=40, t=9)
    for step, state in steps(case, method):
        check_paid(method, step, state, entries_read(method, step, state), case.p)
