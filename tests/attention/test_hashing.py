"""Hashes by random planes: codes, matches, and how likely they are."""

import torch

from harness.attention.index.hashing import codes, match_probability, matches, twice_probability


def test_a_code_holds_the_sides_of_its_table_s_planes():
    generator = torch.Generator().manual_seed(0)
    x, planes = torch.randn(2, 3, 7, 5, generator=generator), torch.randn(3, 5, 20 * 4, generator=generator)
    sides = (x @ planes > 0).unflatten(-1, (20, 4))
    assert torch.equal(codes(x, planes, 4), (sides * torch.tensor([1, 2, 4, 8])).sum(-1).transpose(2, 3).short())


def test_matches_are_counted_over_more_tables_than_a_byte_can_count():
    ones, others = torch.ones(1, 2, 300, 3).short(), torch.zeros(1, 2, 300, 4).short()
    assert (matches(ones, torch.cat((ones, others), 3))[0, 0] == torch.tensor([300, 300, 300, 0, 0, 0, 0])).all()


def test_vectors_agree_as_often_as_their_angle_says():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    planes = torch.randn(1, 2, 3 * 20_000, generator=generator)
    agree = codes(x[None, None], planes, 3) == codes(y[None, None], planes, 3)
    assert (agree.double().mean() - match_probability(torch.tensor(0.6), 3)).abs() < 0.01
    pairs = agree.flatten().unflatten(0, (-1, 4)).sum(-1) >= 2
    assert (pairs.double().mean() - twice_probability(match_probability(torch.tensor(0.6).double(), 3), 4)).abs() < 0.02
