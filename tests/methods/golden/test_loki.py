"""Loki's released decoding (hpcgroup/loki), and components from the prompt."""

import torch
from support import random_case

from golden import attended, by_head, settings
from harness.attention.calibration import Axes, principal_axes
from harness.methods import create, decode

every_setting = settings("loki", lambda setting: setting.given.get("kind") != "dense")


def prepared(setting):
    """Our method, and what it learnt beforehand."""
    given = setting.given
    k = 4096 if given["top_k"] == 1 else given["top_k"]
    knobs = {"components": given["components"], "per_query_head": given["per_query_head"]}
    method = create("loki", r=given["r"], k=k, **knobs)
    if given["components"] == "prompt":
        return method, None
    return method, Axes(setting.array("pca_components"), setting.array("pca_explained_variance"))


@every_setting
def test_outputs_are_the_authors(setting):
    method, learnt = prepared(setting)
    torch.testing.assert_close(setting.decode(method, calibration=learnt), setting.expected(), atol=2e-5, rtol=0)


@every_setting
def test_the_tokens_that_are_kept_are_the_authors(setting):
    method, learnt = prepared(setting)
    kept = attended(method, *setting.tensors(), calibration=learnt)
    assert torch.equal(kept, by_head(setting.array("kept").bool(), kept.shape[1]))


@settings("loki", lambda setting: setting.name.startswith("prompt"))
def test_the_prompt_s_axes_are_the_authors_but_for_their_signs(setting):
    _, key, _, mask, p = setting.tensors()
    found = principal_axes(key[:, :, :p], mask[:, None, :p])
    cosine = (found.rows.float() * setting.array("prompt_pca_components")).sum(-1).abs()
    torch.testing.assert_close(cosine, torch.ones_like(cosine), atol=1e-4, rtol=0)


def test_a_share_that_rounds_to_no_token_keeps_the_best():
    case = random_case()
    assert torch.equal(decode(create("loki", r=3, k=0.01), *case), decode(create("loki", r=3, k=1), *case))
