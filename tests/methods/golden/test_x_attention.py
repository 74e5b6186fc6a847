"""XAttention's prefill against the released code: the estimated mass, the pattern, the output."""

import dataclasses

import pytest
import torch
from support import close

from golden import settings
from harness.attention import LayerPrefill
from harness.attention.antidiagonals import block_mass
from harness.attention.scores import Scores
from harness.methods import create

KNOBS = ("threshold", "stride", "block_size", "chunk")


def prompt_of(setting, dtype):
    query, key, value, mask, p = setting.tensors(dtype)
    q = query[:, :, :p].unflatten(1, (key.shape[1], -1))
    scores = Scores(query.shape[-1] ** -0.5)
    return LayerPrefill(q, key[:, :, :p], None if mask.all() else mask[:, :p], scores, v=value[:, :, :p])


def method_of(setting):
    return create("x_attention", **{knob: setting.given[knob] for knob in KNOBS if knob in setting.given})


@settings("x_attention", lambda setting: setting.given["kind"] != "dense")
def test_the_prefill_is_the_authors(setting):
    prompt, method = prompt_of(setting, torch.float32), method_of(setting)
    mass = block_mass(prompt, method.stride, method.block_size, method.norm)
    close(mass.flatten(1, 2), setting.array("block_scores"), 1e-4)
    attended = method.prefill(prompt)
    close(attended.output.flatten(1, 2), setting.array("out_prefill"), 1e-5)
    p = prompt.k.shape[2]
    seen = setting.array("pattern").bool()
    assert attended.density.item() == pytest.approx(seen.sum().item() / (seen.shape[1] * p * (p + 1) / 2))


@settings("x_attention", lambda setting: setting.given["kind"] != "dense")
def test_the_pattern_is_the_authors(setting):
    prompt, method = prompt_of(setting, torch.float64), method_of(setting)
    b, h, p, _ = prompt.k.shape
    each = torch.eye(p, dtype=torch.float64).expand(b, h, p, p)  # as values, they make the weights the output
    weights = method.prefill(dataclasses.replace(prompt, v=each)).output.flatten(1, 2)
    assert torch.equal(weights > 0, setting.array("pattern").bool())
