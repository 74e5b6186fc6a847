"""The published points, and verdicts on folders whose verdicts are known."""

import json
import math

import numpy as np
import pytest
from support.report.folders import Cell, Folder

from harness.report.against.published import published, shapes
from harness.report.against.verdicts import BETTER, NONE, UNDECIDED, WITHIN, WORSE, verdicts
from harness.report.load import load

SPARQ = {"r": 8, "k": 128, "local": 32, "reallocate": True}


def share(score, n=1000):
    """n scores of 0 and 1 whose mean is the nearest to `score`."""
    return [1.0] * round(score * n) + [0.0] * (n - round(score * n))


def judged(root, **folder):
    Folder(**{"model": "llama-2-13b", **folder}).write(root)
    return verdicts(load(root)).iloc[-1]


def test_there_are_634_points_of_eight_models():
    assert len(published()) == 634 and published()["model"].nunique() == 8


def test_transfers_follow_from_the_settings_as_they_were_published():
    # The paper's own positions: relative to dense, and absolute, with the head size 192 it took for Gemma.
    points = published({"gemma-7b": 192})
    np.testing.assert_allclose(
        1 / points["compression"], points["transfers_ratio_to_dense"].fillna(1 / points["compression"]), rtol=1e-3
    )
    known = points[points["transfers_elements"].notna()]
    assert len(known) == 30
    np.testing.assert_allclose(known["elements"], known["transfers_elements"], rtol=5e-3)


def test_gemma_is_placed_by_its_true_head_size():
    dense = published().query("model == 'gemma-7b' and task == 'squad' and method == 'dense'").iloc[0]
    assert shapes().loc["gemma-7b", "head_dim"] == 256
    assert dense["elements"] == 28 * 16 * (2 * 1427 * 256 + 2 * 256)


def test_a_share_has_the_error_of_its_mean():
    point = published().query("model == 'llama-2-13b' and task == 'squad' and method == 'dense'").iloc[0]
    assert point["stderr"] == pytest.approx(math.sqrt(0.8085 * 0.1915 / 4000))


# Published: 0.8085 of 4000. Two standard errors, combined with those of 1000 examples of ours, are about 0.028.
@pytest.mark.parametrize(("ours", "verdict"), [(0.80, WITHIN), (0.84, BETTER), (0.77, WORSE)])
def test_a_score_is_within_two_combined_errors_or_better_or_worse(tmp_path, ours, verdict):
    found = judged(tmp_path, cells=[Cell("dense", share(ours))])
    assert found["verdict"] == verdict
    error = math.hypot(math.sqrt(ours * (1 - ours) / 999), math.sqrt(0.8085 * 0.1915 / 4000))
    assert found["tolerance"] == pytest.approx(2 * error) and found["difference"] == pytest.approx(ours - 0.8085)


def test_where_less_is_better_a_lower_score_is_better(tmp_path):
    cells = [Cell("dense", [0.50, 0.501, 0.499, 0.5])]
    found = judged(tmp_path, cells=cells, task="wikitext", metric="bits_per_character", higher=False)
    assert found["verdict"] == BETTER and found["published"] == pytest.approx(0.609574)


def test_without_a_published_error_our_spread_stands_for_theirs(tmp_path):
    found = judged(tmp_path, cells=[Cell("dense", [0.1, 0.2, 0.3, 0.4])], task="cnn_dailymail", metric="rougeL")
    assert found["published_stderr_from"] == "our spread"
    assert found["published_stderr"] == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1) / math.sqrt(500))


def test_a_point_read_off_a_figure_is_granted_the_reading_error(tmp_path):
    cells = [Cell("dense", share(0.7698))]
    found = judged(tmp_path, cells=cells, model="llama-2-7b")
    error = math.hypot(math.sqrt(0.77 * 0.23 / 999), math.sqrt(0.7698 * 0.2302 / 4000))
    assert found["tolerance"] == pytest.approx(2 * error + 0.001, rel=1e-3)


def test_the_paper_s_setting_is_found_by_its_knobs(tmp_path):
    found = judged(tmp_path, cells=[Cell("sparq", share(0.7485), 9, SPARQ)])
    assert found["verdict"] == WITHIN and found["published"] == 0.7485


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"r": 9}, "no such setting"),
        ({"local": 16}, "published with local=32, run with local=16"),
        ({"reallocate": False}, "published with reallocate=True, run with reallocate=False"),
    ],
)
def test_another_setting_has_no_counterpart_and_says_why(tmp_path, change, reason):
    found = judged(tmp_path, cells=[Cell("sparq", share(0.7485), 9, SPARQ | change)])
    assert found["verdict"] == NONE and reason in found["reason"]


def test_an_unset_local_window_is_the_paper_s_quarter(tmp_path):
    assert judged(tmp_path, cells=[Cell("h2o", share(0.63), 8, {"k": 192, "local": None})])["verdict"] == WITHIN


@pytest.mark.parametrize(("model", "masked"), [("llama-2-13b", True), ("gemma-7b", False)])
def test_lm_infinite_is_compared_with_the_prefill_it_was_published_with(tmp_path, model, masked):
    cells = [Cell("lm_infinite", share(0.3), 8, {"k": 192, "initial": 16, "mask_prefill": m}) for m in (True, False)]
    Folder(cells, model=model).write(tmp_path)
    reasons = verdicts(load(tmp_path)).set_index("params")["reason"]
    for params, reason in reasons.items():
        assert ("published with" in reason) == (json.loads(params)["mask_prefill"] != masked)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ({"data": "embedded"}, "data set is public, this run's is embedded"),
        ({"model": "smollm2"}, "no such setting"),
        ({"metric": "f1"}, "no such setting"),
        ({"arguments": {"other_contexts": 5}}, "built otherwise (other_contexts=5)"),
    ],
)
def test_another_experiment_has_no_counterpart_and_says_why(tmp_path, folder, reason):
    found = judged(tmp_path, cells=[Cell("dense", share(0.8))], **folder)
    assert found["verdict"] == NONE and reason in found["reason"]


def test_a_single_example_gets_no_verdict(tmp_path):
    assert judged(tmp_path, cells=[Cell("dense", [1.0])])["verdict"] == UNDECIDED


def test_a_gap_gets_no_verdict(tmp_path):
    found = judged(tmp_path, cells=[Cell("dense", [1.0, math.nan])])
    assert found["verdict"] == NONE and "not numbers" in found["reason"]
