"""R-KV against its authors' attention and compression."""

import pytest
import torch
from support import close, random_case, steps

from golden import attended, by_head, settings
from harness.errors import InputError
from harness.methods import create
from harness.methods.cost import ELEMENT

KNOBS = ("k", "window", "kernel", "mix", "buffer", "trigger", "compress_prompt", "order", "retain", "threshold")


def method_of(setting):
    return create("r_kv", **{knob: setting.given[knob] for knob in KNOBS})


def is_r_kv(setting):
    return setting.given["kind"] == "r_kv"


@settings("r_kv", is_r_kv)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 2e-5)


@settings("r_kv", is_r_kv)
def test_the_tokens_that_are_attended_to_are_the_authors(setting):
    query, *_ = tensors = setting.tensors(torch.float64)
    kept = attended(method_of(setting), *tensors)
    assert torch.equal(kept, by_head(setting.array("kept").bool(), query.shape[1]))


@settings("r_kv", lambda setting: setting.given["kind"] == "dense")
def test_where_all_tokens_fit_it_is_the_authors_dense_attention(setting):
    close(setting.decode(create("r_kv", k=200)), setting.expected(), 2e-5)


@pytest.mark.parametrize("buffer", [1, 3, 4])
def test_over_a_cycle_as_much_is_moved_as_the_mean_says(buffer):
    method, case = create("r_kv", k=9, window=3, buffer=buffer), random_case(pads=(0, 0), p=40, t=12, g=1)
    for step, state in steps(case, method):
        method.attend(step, state)
    noted = torch.stack(method.meter(state).steps, 1) / ELEMENT / 2  # of two KV heads
    assert torch.allclose(noted.mean(1), torch.tensor(method.transfers(52, 8), dtype=noted.dtype))


def test_rows_are_cut_each_at_its_own_step():
    method, sizes = create("r_kv", k=9, window=3, buffer=4), []
    for step, state in steps(random_case(pads=(0, 11), t=12), method):
        sizes.append(list(state.slots.counts))
        method.attend(step, state)
    assert [row for row, _ in sizes] == [18, 10, 11, 12, 9, 10, 11, 12, 9, 10, 11, 12]
    assert [row for _, row in sizes] == [7, 8, 9, 10, 11, 12, 9, 10, 11, 12, 9, 10]


def test_the_window_must_leave_room_for_a_token():
    with pytest.raises(InputError, match="RKV needs window of at most k - 1 = 7, not 8"):
        create("r_kv", k=8)
