"""LoRC on the cache of a dense prefill; what its weights do is compared with golden vectors, and in a small model."""

import torch

from harness.attention import Projections

KNOBS = {"rank_k": 5, "rank_v": 4, "own_prefill": False}
VARIANTS = [{"rank_k": 9, "rank_v": 8, "rank_min": 3, "own_prefill": False}]
FULL = {"rank_k": 64, "rank_v": 64, "rank_min": 64}


def larger(knobs):
    return {knob: knobs[knob] + 1 for knob in ("rank_k", "rank_v")}


def weights(_method, case):
    """Of six layers, which make a case's keys and values of wider hidden states."""
    make, size = torch.Generator().manual_seed(0), case.k.shape[1] * case.k.shape[3]
    draws = (torch.randn(2, size, 3 * size, generator=make, dtype=torch.float64) for _ in range(6))
    return [Projections(*draw.to(case.k.dtype), heads=case.k.shape[1]) for draw in draws]
