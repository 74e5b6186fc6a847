"""Principal axes of keys, against numpy's singular value decomposition."""

import numpy as np
import pytest
import torch

from harness.attention import LayerPrefill
from harness.attention.calibration import PrincipalAxes, explaining, principal_axes
from harness.attention.scores import Scores


def keys(*shape, seed=0):
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made * torch.linspace(3, 0.2, shape[-1], dtype=torch.float64) + 1.5


def by_svd(x):
    """Axes and variances of tokens [N, D]."""
    centred = x.numpy() - x.numpy().mean(0)
    _, s, rows = np.linalg.svd(centred, full_matrices=False)
    return torch.from_numpy(rows), torch.from_numpy(s**2 / len(x))


def same_axes(found, expected):
    torch.testing.assert_close((found * expected).sum(-1).abs(), torch.ones(found.shape[0], dtype=torch.float64))


def test_axes_of_a_row_are_those_of_its_live_keys():
    k, mask = keys(2, 3, 40, 6), torch.arange(40) >= torch.tensor([0, 11])[:, None]
    found = principal_axes(k, mask[:, None])
    for row, head in np.ndindex(2, 3):
        rows, variance = by_svd(k[row, head, mask[row]])
        same_axes(found.rows[row, head], rows)
        torch.testing.assert_close(found.variance[row, head], variance)


def prompt(k):
    return LayerPrefill(k[:, :, None], k, None, Scores(1.0), v=k)


def test_axes_that_are_learnt_are_those_of_all_prompts_together():
    parts = [keys(1, 3, n, 6, seed=n) for n in (30, 7, 50)]
    calibrator, so_far = PrincipalAxes(3), None
    for part in parts:
        so_far = calibrator.fold(so_far, prompt(part))
    found = calibrator.finish(so_far)
    for head in range(3):
        rows, variance = by_svd(torch.cat(parts, 2)[0, head])
        same_axes(found.rows[head], rows)
        torch.testing.assert_close(found.variance[head], variance)


@pytest.mark.parametrize(("share", "needed"), [(0.5, 1), (0.6, 2), (0.8, 2), (0.81, 3), (0.999, 4), (1.0, 4)])
def test_as_many_axes_explain_a_share_as_the_worst_head_needs(share, needed):
    heads = torch.tensor([[10.0, 0, 0, 0], [5.0, 3, 1, 1]], dtype=torch.float64)
    assert explaining(heads, share).item() == needed
    assert explaining(heads[None].expand(3, -1, -1), share).tolist() == [needed] * 3
