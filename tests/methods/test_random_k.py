"""The control that chooses blindly."""

import pytest
import torch
from support import random_case

from harness.methods import create, decode


def kept_by(method, case):
    """Sets of tokens that each step, row and KV head attended to, read off the output of one-hot values."""
    case.v[:] = torch.eye(case.v.shape[2], case.v.shape[3], dtype=case.v.dtype)
    return decode(method, *case).abs() > 1e-12


def test_random_k_keeps_the_newest_and_k_in_all():
    case = random_case(pads=(0, 7), g=1, p=18, t=5, d=24)
    kept = kept_by(create("random_k", k=6), case)
    assert (kept.sum(-1) == 6).all()
    for t in range(5):
        assert kept[:, :, t, 18 + t].all()
    assert not kept[1, :, :, :7].any()
    assert (kept[:, 0] != kept[:, 1]).any()
    assert all((kept[:, :, t] != kept[:, :, t + 1]).sum() > 2 for t in range(4))


def test_random_k_draws_the_same_for_a_seed_and_others_for_another():
    case = random_case(g=1, d=24)
    first, again = (kept_by(create("random_k", k=6, seed=3), case) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, kept_by(create("random_k", k=6, seed=4), case))


def test_random_k_chooses_every_old_token_about_equally_often():
    case = random_case(pads=(0,), h=40, g=1, p=23, t=1, d=24)
    draws = [kept_by(create("random_k", k=5, seed=seed), case)[0, :, 0, :23] for seed in range(10)]
    often = torch.cat(draws).double().mean(0)
    assert often.sum() == pytest.approx(4)
    assert (often - 4 / 23).abs().max() < 0.09
