"""Channels by magnitude, shared by a group or each query head's own."""

import torch

from harness.attention.index.channels import key_magnitude, largest_channels, take_channels


def test_magnitudes_of_keys_are_summed_over_tokens():
    k = torch.tensor([[[[1.0, -3.0, 0.5], [-1.0, 1.0, 0.5]]]], dtype=torch.bfloat16)
    magnitude = key_magnitude(k)
    assert magnitude.tolist() == [[[[2.0, 4.0, 1.0]]]] and magnitude.dtype == torch.float32
    assert set(largest_channels(magnitude, 2)[0, 0, 0].tolist()) == {0, 1}
    assert largest_channels(magnitude, 9).shape[-1] == 3


def test_channels_are_taken_out_of_every_token():
    x = torch.randn(2, 3, 1, 5, 8)
    for c in (1, 4):
        channels = torch.rand(2, 3, c, 8).argsort(-1)[..., :3]
        taken = take_channels(x, channels)
        assert taken.shape == (2, 3, c, 5, 3)
        assert torch.equal(taken[1, 2, c - 1, 4], x[1, 2, 0, 4, channels[1, 2, c - 1]])
    shared = torch.tensor([[[[2, 5]]]]).expand(1, 3, 1, 2)
    assert torch.equal(take_channels(x, shared)[:, :, 0], x[:, :, 0][..., [2, 5]])
