"""Palu on the cache of a dense prefill; what its weights do is compared with golden vectors, and in a small model."""

import torch

from definitions import lorc

KNOBS = {"rank_k": 5, "rank_v": 4, "whiten": False, "own_prefill": False}
VARIANTS = [
    {"rank_k": 3, "rank_v": 4, "head_group_size": 1, "own_prefill": False},
    {"rank_k": 12, "rank_v": 8, "latent_bits": 4, "whiten": False, "own_prefill": False},
    {"rank_k": 8, "rank_v": 8, "latent_bits": 3, "hadamard": False, "own_prefill": False},
]
FULL = {"rank_k": 64, "rank_v": 64, "latent_bits": 16}
larger, weights = lorc.larger, lorc.weights


def calibration(_method, case):
    """A factor that makes some channels of the hidden states larger than others."""
    width = 3 * case.k.shape[1] * case.k.shape[3]
    lower = torch.randn(width, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64).tril()
    return lower + torch.diag(torch.linspace(3, 9, width, dtype=torch.float64))
