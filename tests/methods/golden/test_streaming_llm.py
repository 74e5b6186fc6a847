"""StreamingLLM against the authors' attention and cache, which give positions to un-rotated keys in every step."""

import torch

from golden import attended, settings
from harness.attention import LayerPrefill, Rope
from harness.attention.scores import Scores
from harness.methods import create, decode


def rope(setting):
    return Rope.plain(float(setting.array("rope_theta")), setting.array("query").shape[-1])


def method_of(setting):
    """Ours for a setting of the file, which is published in all of them."""
    if setting.given["kind"] == "dense":
        return create("dense")
    assert setting.given["positions"] == "cache"
    return create("streaming_llm", k=setting.given["k"], initial=setting.given["initial"])


@settings("streaming_llm")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(method_of(setting), rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(), atol=2e-5, rtol=0)


@settings("streaming_llm", lambda setting: setting.given.get("initial") and "full" not in setting.name)
def test_absolute_positions_are_another_method(setting):
    absolute = create("streaming", k=setting.given["k"], initial=setting.given["initial"])
    changed = (setting.decode(absolute) - setting.expected()).abs().amax((0, 1, 3))
    cached = setting.array("prefill_length") + torch.arange(1, len(changed) + 1)
    assert torch.equal(changed > 1e-3, cached > setting.given["k"])


@settings("streaming_llm", lambda setting: setting.name == "s4_r20")
def test_a_prompt_under_the_pattern_is_decoded_token_by_token(setting):
    query, key, value, mask, _ = setting.tensors(torch.float64)
    q = query.unflatten(1, (key.shape[1], -1))
    prompt = LayerPrefill(q, key, None, Scores(query.shape[-1] ** -0.5), v=value, rope=rope(setting))
    found = create("streaming_llm", k=25, initial=4, mask_prefill=True).prefill(prompt).output.flatten(1, 2)
    expected = decode(method_of(setting), query, key, value, mask, 1, rope=rope(setting))
    torch.testing.assert_close(found[:, :, 1:], expected, atol=1e-11, rtol=0)
    kept = attended(method_of(setting), *setting.tensors(torch.float64), rope=rope(setting))
    assert (kept.sum(-1) == 25).all()
