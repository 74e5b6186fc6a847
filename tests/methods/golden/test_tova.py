"""TOVA against the authors' attention and cache."""

import pytest
import torch
from support import random_case

from golden import attended, settings
from harness.methods import create, decode


def method_of(setting):
    return create(setting.given["kind"], **{name: value for name, value in setting.given.items() if name == "k"})


@settings("tova")
def test_decode_steps_are_the_authors(setting):
    torch.testing.assert_close(setting.decode(method_of(setting)), setting.expected(), atol=2e-5, rtol=0)


@settings("tova", lambda setting: setting.given["kind"] != "dense")
def test_the_same_tokens_are_attended_to_in_all_heads(setting):
    found = attended(method_of(setting), *setting.tensors(torch.float64))
    assert torch.equal(found, setting.array("kept")[:, None].expand_as(found))


@pytest.mark.parametrize("k", [1, 4, 17, 19])
def test_a_row_with_padding_drops_what_loops_over_its_tokens_drop(k):
    case = random_case(pads=(0, 5), p=16, t=6)
    found = attended(create("tova", k=k), *case)
    for row, pad in enumerate((0, 5)):
        cached, scale = list(range(pad, 16)), 8**-0.5
        for n in range(16, 23):
            keys = case.k[row, :, cached].repeat_interleave(3, 0)
            weights = (torch.einsum("hd,hnd->hn", case.q[row, :, n - 1], keys) * scale).softmax(-1).mean(0)
            if n > 16:
                assert {int(token) for token in found[row, 0, n - 17].nonzero()} == set(cached)
            cached = sorted(sorted(cached, key=dict(zip(cached, weights.tolist(), strict=True)).get)[-k:])
            cached.append(n)


def test_of_equal_tokens_the_newest_stay():
    case = random_case(pads=(0,), p=8, t=3)
    case.q[:] = 0
    (kept,) = attended(create("tova", k=3), *case)[:, 0]
    assert [row.nonzero().flatten().tolist() for row in kept] == [[5, 6, 7, 8], [6, 7, 8, 9], [7, 8, 9, 10]]
    assert decode(create("tova", k=3), *case).isfinite().all()
