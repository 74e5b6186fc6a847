"""KeyDiff against the presses that the field knows it by, in one shot and block by block."""

import torch
from support import close

from golden import left, settings
from harness.methods import create


def method_of(setting):
    return create("key_diff", k=setting.given["k"], block=setting.given.get("block"))


def is_key_diff(setting):
    return setting.given["kind"] == "key_diff"


@settings("key_diff", is_key_diff)
def test_the_outputs_are_those_of_the_press(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 2e-5)


@settings("key_diff", is_key_diff)
def test_the_prompt_tokens_left_are_those_of_the_press(setting):
    assert torch.equal(left(method_of(setting), *setting.tensors()), setting.array("kept"))
