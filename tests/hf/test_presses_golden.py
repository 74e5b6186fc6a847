"""Presses of kvpress decode as the golden numbers of the methods that they are."""

from types import SimpleNamespace

import torch
from golden import settings
from support import close
from support.presses import kvpress, method

from harness.attention import Rope
from harness.hf.presses import _PressedLayer


def stub(setting):
    """An attention module whose projection of queries is a slice of the hidden states."""
    query, key, *_ = setting.tensors()
    config = SimpleNamespace(num_attention_heads=query.shape[1], num_key_value_heads=key.shape[1])
    return SimpleNamespace(head_dim=query.shape[3], layer_idx=0, config=config, q_proj=lambda x: x)


def decoded(setting, press, options=""):
    query, _, _, _, p = setting.tensors()
    unrotated = setting.array("query_unrotated", torch.float32) if setting.has("query_unrotated") else query
    inputs = unrotated[:, :, :p].transpose(1, 2).flatten(2)
    given = method(press, setting.given["ratio"], options=options)
    compress = _PressedLayer(given.compressor, stub(setting))
    rope = Rope.plain(float(setting.array("rope_theta")) if setting.has("rope_theta") else 10_000, query.shape[3])
    return setting.decode(given, compress=compress, rope=rope, inputs=inputs)


@kvpress
@settings("knorm", lambda setting: setting.given["kind"] == "knorm")
def test_the_key_norm_decodes_as_the_golden_numbers(setting):
    close(decoded(setting, "KnormPress"), setting.expected(), 2e-5)


@kvpress
@settings("key_diff", lambda setting: setting.given["kind"] == "key_diff")
def test_key_diff_decodes_as_the_golden_numbers(setting):
    block = setting.given.get("block")
    press = ("BlockPress/KeyDiffPress", f"block_size={block}") if block else ("KeyDiffPress", "")
    close(decoded(setting, *press), setting.expected(), 2e-5)


@kvpress
@settings("expected_attention", lambda setting: setting.given["kind"] == "expected_attention")
def test_expected_attention_decodes_as_the_golden_numbers(setting):
    given = setting.given
    options = {
        "n_future_positions": given["future"],
        "n_sink": given["sink"],
        "use_covariance": str(given["covariance"]).lower(),
        "use_vnorm": str(given["value_norm"]).lower(),
        "epsilon": given["epsilon"],
    }
    text = ", ".join(f"{name}={value}" for name, value in options.items())
    close(decoded(setting, "ExpectedAttentionPress", text), setting.expected(), 2e-5)
