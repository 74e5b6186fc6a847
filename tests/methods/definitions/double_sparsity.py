"""Double Sparsity, held to the authors' numbers by golden/test_double_sparsity.py."""

import torch

KNOBS = {"r": 3, "k": 6, "dense_layers": 0}
VARIANTS = [
    {"r": 3, "k": 6, "dense_layers": 0, "channels": "prompt_qk", "label_bits": 16},
    {"r": 3, "k": 6, "dense_layers": 0, "channels": "q", "label_bits": 8},
    {"r": 3, "k": 6, "dense_layers": 0, "channels": "qk", "per_query_head": True},
]


def calibration(_method, case):
    """Magnitudes of some other prompts, the same for all query heads of a group."""
    h = case.k.shape[1]
    groups = case.q.shape[1] // h
    of_heads = torch.rand(h, 1, case.q.shape[-1], generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return of_heads.expand(-1, groups, -1)
