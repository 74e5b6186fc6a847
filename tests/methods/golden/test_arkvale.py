"""ArkVale against its released Python, the kernels of which were transcribed."""

import torch

from golden import attended, settings
from harness.methods import create
from harness.methods.decoding import steps

KNOBS = ("page_size", "page_budget", "page_topk", "n_sink_pages", "n_window_pages", "n_groups")
every_setting = settings("arkvale", lambda setting: "page_size" in setting.given)


def made(setting):
    return create("arkvale", **{knob: setting.given[knob] for knob in KNOBS})


@every_setting
def test_outputs_are_those_of_the_released_code(setting):
    torch.testing.assert_close(setting.decode(made(setting)), setting.expected(), atol=1e-5, rtol=0)


@every_setting
def test_the_tokens_attended_to_are_those_of_the_released_code(setting):
    assert torch.equal(attended(made(setting), *setting.tensors()), setting.array("kept"))


@settings("arkvale", lambda setting: setting.has("digests/upper") and setting.given.get("page_size") == 8)
def test_digests_are_those_of_the_released_code(setting):
    _, state = next(steps(made(setting), *setting.tensors()))
    upper, lower = setting.array("digests/upper"), setting.array("digests/lower")
    found = state.boxes.table[:, :, : upper.shape[2]]
    torch.testing.assert_close(found, torch.cat((upper, -lower), -1), atol=1e-6, rtol=0)
