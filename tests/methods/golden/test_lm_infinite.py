"""LM-Infinite against the authors' attention: decode steps, and prompts under the same pattern."""

import torch

from golden import settings
from harness.attention import LayerPrefill, Rope
from harness.attention.scores import Scores
from harness.methods import create

PATTERN = settings("lm_infinite", lambda setting: setting.given["kind"] != "dense")


def rope(setting):
    return Rope.plain(float(setting.array("rope_theta")), setting.array("query").shape[-1])


def method_of(setting, **more):
    if setting.given["kind"] == "dense":
        return create("dense")
    knobs = {name: setting.given[name] for name in ("k", "initial", "ceiling")}
    assert knobs["k"] - knobs["initial"] == setting.given["local"]
    return create("lm_infinite", **knobs, **more)


def prefill(setting, method):
    """The method's prefill of the case's prompt, [B, Hq, P, D]."""
    query, key, value, _, p = setting.tensors()
    q = query.unflatten(1, (key.shape[1], -1))[:, :, :, :p]
    scores = Scores(query.shape[-1] ** -0.5)
    prompt = LayerPrefill(q, key[:, :, :p], None, scores, v=value[:, :, :p], rope=rope(setting))
    return method.prefill(prompt).output.flatten(1, 2)


@settings("lm_infinite")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(method_of(setting), rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(), atol=2e-5, rtol=0)


@PATTERN
def test_a_prompt_under_the_pattern_is_the_authors(setting):
    found = prefill(setting, method_of(setting, mask_prefill=True))
    torch.testing.assert_close(found, setting.array("out_prefill"), atol=2e-5, rtol=0)


@settings("lm_infinite", lambda setting: setting.given.get("ceiling") == setting.given.get("local", 0))
def test_the_published_ceiling_is_called_local(setting):
    named = create("lm_infinite", k=setting.given["k"], initial=setting.given["initial"], ceiling="local")
    found, expected = (setting.decode(method, rope=rope(setting)) for method in (named, method_of(setting)))
    assert torch.equal(found, expected)
    assert torch.equal(prefill(setting, named), prefill(setting, method_of(setting)))


@settings("lm_infinite", lambda setting: setting.name in ("l20_g4", "l32_g10", "l16_g2_c40"))
def test_without_its_ceiling_it_is_another_method(setting):
    bare = create("lm_infinite", k=setting.given["k"], initial=setting.given["initial"])
    assert (setting.decode(bare) - setting.expected()).abs().amax() > 1e-3
    assert (prefill(setting, bare) - setting.array("out_prefill")).abs().amax() > 1e-3
