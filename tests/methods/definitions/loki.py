"""Loki, held to the authors' numbers by golden/test_loki.py."""

import torch

from harness.attention.calibration import principal_axes

KNOBS = {"r": 3, "k": 6}
VARIANTS = [
    {"r": 0.6, "k": 0.3},
    {"r": 3, "k": 6, "components": "calibrated"},
    {"r": 0.5, "k": 6, "components": "calibrated", "per_query_head": True},
    {"r": 3, "k": 0.2, "components": "calibrated_unrotated", "per_query_head": True},
]


def calibration(_method, case):
    """The axes of some other keys."""
    h, d = case.k.shape[1], case.k.shape[-1]
    keys = torch.randn(1, h, 90, d, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    keys = keys * torch.linspace(2, 0.5, d, dtype=torch.float64)
    found = principal_axes(keys, torch.ones(1, 1, 90, dtype=torch.bool))
    return type(found)(found.rows[0], found.variance[0])
