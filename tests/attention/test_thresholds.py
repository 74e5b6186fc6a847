"""Thresholds of Top-Theta: means of samples at each length, and which length's is used between them."""

import numpy as np
import pytest
import torch

from harness.attention import LayerPrefill
from harness.attention.calibration import ThresholdCalibrator, Thresholds, threshold_of
from harness.attention.scores import Scores


def prompt(s, seed, window=None):
    make = torch.Generator().manual_seed(seed)
    q = torch.randn(1, 2, 3, s, 8, generator=make, dtype=torch.float64)
    k = torch.randn(1, 2, s, 8, generator=make, dtype=torch.float64)
    seen = torch.ones(s, s, dtype=torch.bool).tril()
    mask = None if window is None else seen.triu(1 - window)[None, None]
    return LayerPrefill(q, k, None, Scores(0.4), mask, v=k)


def samples(prompts, k, before_softmax, window=None):
    """By number of tokens seen, the (k+1)-th largest of each query, [n, H, G]."""
    found = {}
    for of in prompts:
        for i in range(of.q.shape[3]):
            first = 0 if window is None else max(0, i + 1 - window)
            if i + 1 - first > k:
                logits = of.q[0, :, :, i] @ of.k[0, :, first : i + 1].mT * 0.4
                row = logits if before_softmax else logits.softmax(-1)
                found.setdefault(i + 1 - first, []).append(row.sort(-1, descending=True).values[..., k].numpy())
    return {seen: np.stack(values) for seen, values in sorted(found.items())}


@pytest.mark.parametrize("before_softmax", [False, True])
@pytest.mark.parametrize("window", [None, 9])
def test_a_threshold_is_the_mean_of_its_samples_and_some_deviations(before_softmax, window):
    prompts = [prompt(s, s, window) for s in (14, 5, 20)]
    calibrator, so_far = ThresholdCalibrator(3, 5, before_softmax, 0.5), None
    for of in prompts:
        so_far = calibrator.fold(so_far, of)
    found, expected = calibrator.finish(so_far), samples(prompts, 5, before_softmax, window)
    assert found.lengths.tolist() == list(expected)
    values = [of.mean(0) + 0.5 * of.std(0) for of in expected.values()]
    np.testing.assert_allclose(found.values.numpy(), np.stack(values, -1), atol=1e-12)


def test_the_nearest_length_is_used_and_of_two_the_smaller():
    table = Thresholds(torch.tensor([10, 20, 25]), torch.tensor([1.0, 2.0, 3.0]).expand(2, 3, 3))
    found = table.at(torch.tensor([1, 10, 15, 16, 20, 22, 23, 25, 900]))
    assert found[:, 1, 2].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert found.shape == (9, 2, 3)


def test_prompts_of_few_tokens_give_no_threshold():
    calibrator = ThresholdCalibrator(1, 30, False, 0.1)
    assert len(calibrator.finish(calibrator.fold(None, prompt(20, 0))).lengths) == 0


def test_missing_values_are_left_out_of_a_threshold():
    values = torch.tensor([[[[torch.nan, 2.0, 4.0], [torch.nan] * 3]]])
    assert threshold_of(values, 0.5)[0, 0].tolist() == [3.5, -torch.inf]
