"""The key norm against the scores of the press that the field knows it by."""

import torch
from support import close

from golden import left, settings
from harness.methods import create


@settings("knorm", lambda setting: setting.given["kind"] == "knorm")
def test_the_outputs_are_those_of_the_press(setting):
    close(setting.decode(create("knorm", k=setting.given["k"])), setting.expected(), 2e-5)


@settings("knorm", lambda setting: setting.given["kind"] == "knorm")
def test_the_prompt_tokens_left_are_those_of_the_press(setting):
    assert torch.equal(left(create("knorm", k=setting.given["k"]), *setting.tensors()), setting.array("kept"))
