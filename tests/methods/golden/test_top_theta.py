"""Top-Theta's released decoding (kostyanoob/top-theta-attention), from thresholds that its own calibration found."""

import torch

from golden import attended, settings
from harness.attention.calibration import Thresholds
from harness.methods import create

every_setting = settings("top_theta", lambda setting: setting.given.get("kind") != "dense")
SAME_NAME = ("k", "v_mean_compensation", "cap_k", "calib_add_sigma", "per_query_head")


def prepared(setting):
    """Our method, and what it learnt beforehand."""
    given, heads = setting.given, setting.array("key").shape[1]
    placement = given["placement"].replace("-", "_")
    knobs = {name: given[name] for name in SAME_NAME}
    method = create("top_theta", placement=placement, thresholds="calibrated", **knobs)
    tag = given["thresholds"]
    if tag is None:
        return method, Thresholds(torch.zeros(0, dtype=torch.long), torch.zeros(heads, 1, 0))
    values = setting.array(f"thresholds/{tag}").unflatten(0, (heads, -1))
    return method, Thresholds(setting.array(f"threshold_lengths/{tag}").long(), values)


@every_setting
def test_outputs_are_the_authors(setting):
    method, learnt = prepared(setting)
    torch.testing.assert_close(setting.decode(method, calibration=learnt), setting.expected(), atol=2e-5, rtol=0)


@settings("top_theta", lambda setting: setting.given.get("v_mean_compensation") is False)
def test_the_tokens_that_are_kept_are_the_authors(setting):
    method, learnt = prepared(setting)
    kept = attended(method, *setting.tensors(), calibration=learnt)
    assert torch.equal(kept, setting.array("kept").bool())
