"""Keys and values of truncated weights, found from those of the whole weights."""

import pytest
import torch
from support import close

from harness.attention import Projections, Rope
from harness.attention.weights import Spectrum, truncated

H, D, E, N = 2, 8, 24, 5
ROPES = [Rope.plain(100, 8), Rope.plain(100, 4), Rope(Rope.plain(100, 6).inv_freq, interleaved=True, scaling=1.3)]


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rope", ROPES, ids=["plain", "partial", "scaled"])
@pytest.mark.parametrize("biased", [True, False])
def test_projected_tokens_are_what_the_truncated_weights_make(rope, biased):
    biases = [random(H * D, seed=3), random(H * D, seed=4)] if biased else [None, None]
    own = Projections(random(H * D, E, seed=1), random(H * D, E, seed=2), *biases)
    kept = truncated(own, Spectrum.of(own.k), Spectrum.of(own.v), 5, 3)
    hidden, positions = random(3, N, E, seed=5), torch.tensor([[0], [4], [900]]) + torch.arange(N)

    def made(weight, bias):
        product = hidden @ weight.T + (0 if bias is None else bias)
        return product.view(3, N, H, D).transpose(1, 2)

    k, v = rope.rotate(made(own.k, own.k_bias), positions[:, None]), made(own.v, own.v_bias)
    expected = rope.rotate(made(kept.k, own.k_bias), positions[:, None])
    close(kept.project_keys(k, rope, positions), expected, 1e-9)
    close(kept.project_values(v), made(kept.v, own.v_bias), 1e-9)
    assert (expected - k).abs().max() > 0.1
    assert (kept.k_bias, kept.v_bias) == (own.k_bias, own.v_bias)


def test_truncated_weights_have_the_rank_and_the_dtype_that_are_asked_for():
    own = Projections(random(H * D, E, seed=1).bfloat16(), random(H * D, E, seed=2).bfloat16())
    kept = truncated(own, Spectrum.of(own.k), Spectrum.of(own.v), 5, 99)
    assert {kept.k.dtype, kept.v.dtype, kept.k_space.basis.dtype} == {torch.bfloat16}
    assert int((torch.linalg.svdvals(kept.k.double()) > 0.1).sum()) == 5
    assert kept.v_space.basis.shape == (H * D, H * D)
