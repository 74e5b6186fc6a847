"""The factor by which Palu weighs directions, against numpy."""

from types import SimpleNamespace

import numpy as np
import torch
from support import close

from harness.attention.calibration import InputMoment


def found(*prompts):
    calibrator, so_far = InputMoment(8), None
    for x in prompts:
        so_far = calibrator.fold(so_far, SimpleNamespace(inputs=x[None]))
    return calibrator.finish(so_far)


def tokens(count, width=6, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_cholesky_factor_of_the_sum_over_all_prompts():
    a, b = tokens(20), tokens(9, seed=1)
    x = np.concatenate([a.numpy(), b.numpy()])
    close(found(a, b), torch.from_numpy(np.linalg.cholesky(x.T @ x)), 1e-10)


def test_of_fewer_tokens_than_channels_the_least_eigenvalue_is_lifted_to_a_thousandth():
    x = tokens(3)
    x[:, 4] = 0  # no rounding lets this be decomposed
    factor = found(x).numpy()
    values = np.linalg.eigvalsh(factor @ factor.T)
    np.testing.assert_allclose(values[:3], 1e-3, atol=1e-12)
    np.testing.assert_allclose(values[3:], np.linalg.eigvalsh((x.T @ x).numpy())[3:] + 1e-3, atol=1e-9)
