"""Double Sparsity's released decoding (andy-yang-1/DoubleSparse), and channels from the prompt."""

import pytest
import torch

from golden import attended, by_head, settings
from harness.attention.index.labels import quantised_label
from harness.methods import create

every_setting = settings("double_sparsity", lambda setting: setting.given.get("kind") != "dense")


def magnitudes(order):
    """[H, C, D] that put the channels [H, C, D] in this order."""
    places = torch.arange(order.shape[-1], 0, -1.0).expand(order.shape)
    return torch.empty(order.shape).scatter(-1, order, places)


def prepared(setting):
    """Our method, and what it learnt beforehand."""
    given, heads = setting.given, setting.array("key").shape[1]
    channels = given["channels"].removesuffix("_per_kv_head")
    r = setting.array("query").shape[-1] // given["group_factor"]
    knobs = {"label_bits": given["label_bits"], "per_query_head": given["per_query_head"], "dense_layers": 0}
    method = create("double_sparsity", r=r, k=given["token_budget"], channels=channels, **knobs)
    if channels.startswith("prompt"):
        return method, None
    return method, magnitudes(setting.array(f"channels/{given['channels']}").long().unflatten(0, (heads, -1)))


@every_setting
def test_outputs_are_the_authors(setting):
    method, learnt = prepared(setting)
    found = setting.decode(method, calibration=learnt)
    torch.testing.assert_close(found, setting.expected(), atol=1e-5, rtol=0)


@every_setting
def test_the_tokens_that_are_kept_are_the_authors(setting):
    method, learnt = prepared(setting)
    kept = attended(method, *setting.tensors(), calibration=learnt)
    assert torch.equal(kept, by_head(setting.array("kept").bool(), kept.shape[1]))


@settings("double_sparsity", lambda setting: setting.case == "mha" and setting.name == "gf2_bits4_k24")
def test_labels_of_the_first_step_are_the_authors(setting):
    query, key, _, _, p = setting.tensors()
    order = setting.array("channels/qk").long()[..., :8]
    for name, x in (("query", query[:, :, p : p + 1]), ("key", key[:, :, : p + 1])):
        taken = x.gather(3, order[None, :, None].expand(len(x), -1, x.shape[2], -1))
        torch.testing.assert_close(quantised_label(taken, 4), setting.array(f"label/{name}"), atol=1e-6, rtol=0)


@pytest.mark.parametrize("bits", [4, 16])
def test_a_label_costs_its_bits_and_what_it_takes_to_read_them(bits):
    lone = create("double_sparsity", r=8, k=16, label_bits=bits)
    label = 8 if bits == 16 else 8 * bits / 16 + 2
    assert lone.transfers(100, 32) == 100 * label + 2 * 32 * 16 + 2 * 32 + label
