"""Ada-KV against its authors' attention: how many tokens each head is left with, and which."""

import torch
from support import close

from golden import left, settings
from harness.methods import create
from harness.methods.cost import LayerAt
from harness.methods.decoding import steps

KNOBS = ("k", "window", "kernel", "pooling", "group", "floor", "normalize", "pyramid")


def method_of(setting):
    return create("ada_kv", **{knob: setting.given[knob] for knob in KNOBS})


def place_of(setting):
    return {name: setting.given[name] for name in ("layer", "layers") if name in setting.given}


every_setting = settings("ada_kv", lambda setting: setting.given["kind"] == "ada_kv")


@every_setting
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting), **place_of(setting)), setting.expected(), 2e-5)


@every_setting
def test_the_prompt_tokens_left_are_the_authors(setting):
    found = left(method_of(setting), *setting.tensors(), **place_of(setting))
    assert torch.equal(found, setting.array("kept"))
    assert found[0].sum(-1).tolist() == setting.array("head_lens").tolist()


@every_setting
def test_heads_together_keep_no_more_than_the_layer_is_charged_for(setting):
    heads, prompt = len(setting.array("head_lens")), int(setting.array("prefill_length"))
    kv_heads, d = setting.array("key").shape[1], setting.array("key").shape[3]
    at = LayerAt(prompt, d, prompt, kv_heads, heads // kv_heads, **place_of(setting))
    charged = kv_heads * method_of(setting).cost(at).attend / at.tokens(1)
    kept = int(setting.array("head_lens").sum())
    if setting.given["group"] != "none":
        assert charged - heads <= kept <= charged
    else:  # a KV head holds each token once, and is charged as if its query heads kept different ones
        assert int(setting.array("kept").unflatten(1, (kv_heads, -1)).any(2).sum()) <= charged


@every_setting
def test_the_meter_counts_the_tokens_that_every_head_reads_and_the_newest_written(setting):
    method = method_of(setting)
    kv_heads, d = setting.array("key").shape[1], setting.array("key").shape[3]
    held = int(setting.array("kept").unflatten(1, (kv_heads, -1)).any(2).sum())
    for newer, (step, state) in enumerate(steps(method, *setting.tensors(), **place_of(setting)), 1):
        method.attend(step, state)
        assert method.meter(state).steps[-1].tolist() == [(held + kv_heads * (newer + 1)) * LayerAt(1, d, 1).newest]
