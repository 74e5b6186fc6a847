"""Twilight against its released Python code, with an exact top-p or a transcription of the CUDA kernel."""

import torch

from golden import attended, settings
from harness.methods import create

every_setting = settings("twilight", lambda setting: "base" in setting.given)


def prepared(setting):
    """Our method, and the magnitudes that put channels in the order of the authors' calibration."""
    given, base = setting.given, dict(setting.given["base"])
    knobs = {knob: given[knob] for knob in ("p", "estimate_bits", "released_kernel", "per_query_head")}
    knobs |= {"base": base.pop("kind"), "token_budget": base.pop("token_budget", None), "dense_layers": 0}
    if "bits" in base:
        base |= {"label_bits": base.pop("bits"), "channels": "q"}
    name = "channels/q" if given["per_query_head"] else "channels/q_per_kv_head"
    order = setting.array(name).long().unflatten(0, (setting.array("key").shape[1], -1))
    places = torch.arange(order.shape[-1], 0, -1.0).expand(order.shape)
    learnt = torch.empty(order.shape).scatter(-1, order, places)
    return create("twilight", **knobs, **base), learnt if "label_bits" in base else None


@every_setting
def test_outputs_are_the_authors(setting):
    method, learnt = prepared(setting)
    torch.testing.assert_close(setting.decode(method, calibration=learnt), setting.expected(), atol=1e-5, rtol=0)


@every_setting
def test_the_tokens_that_survive_are_the_authors(setting):
    method, learnt = prepared(setting)
    assert torch.equal(attended(method, *setting.tensors(), calibration=learnt), setting.array("kept"))
