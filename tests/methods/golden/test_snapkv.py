"""SnapKV against its authors' attention, one choice per query head, and against one choice per KV head."""

import torch
from support import close

from golden import left, settings
from harness.methods import create

KNOBS = ("k", "window", "kernel", "pooling", "group")


def method_of(setting):
    return create("snapkv", **{knob: setting.given[knob] for knob in KNOBS})


def is_snapkv(setting):
    return setting.given["kind"] == "snapkv"


@settings("snapkv", is_snapkv)
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 2e-5)


@settings("snapkv", is_snapkv)
def test_the_prompt_tokens_left_are_the_authors(setting):
    assert torch.equal(left(method_of(setting), *setting.tensors()), setting.array("kept"))
