"""LoRC against a transcription of its paper: cached keys projected, and keys made by truncated weights."""

import pytest
import torch
from support import close

from golden import settings
from harness.attention import LayerPrefill, Projections, Rope
from harness.attention.scores import Scores
from harness.attention.weights import Spectrum, shares_of_conditions
from harness.methods import create, decode

TOLERANCE = 1e-4
every_setting = settings("lorc", lambda setting: setting.given["kind"] != "dense")


def method_of(setting, own_prefill):
    return create("lorc", rank_k=setting.given["rank_k"], rank_v=setting.given["rank_v"], own_prefill=own_prefill)


def reweighed(setting, method):
    own = Projections(setting.array("w_k", torch.float32), setting.array("w_v", torch.float32))
    return method.reweigh([own])[0]


def made_by(setting, weights):
    """Keys and values [B, H, N, D] that weights make of the hidden states."""
    _, key, *_ = setting.tensors()
    b, h, n, d = key.shape
    k, v = (
        (setting.array("hidden", torch.float32) @ w.T).view(b, n, h, d).transpose(1, 2) for w in (weights.k, weights.v)
    )
    return Rope.plain(10_000, d).rotate(k, torch.arange(n)), v


@every_setting
def test_a_projected_cache_decodes_as_published(setting):
    method = method_of(setting, own_prefill=False)
    rope = Rope.plain(10_000, setting.tensors()[0].shape[3])
    found = setting.decode(method, weights=reweighed(setting, method), rope=rope)
    close(found, setting.expected(), TOLERANCE)


@every_setting
def test_truncated_weights_prefill_and_decode_as_published(setting):
    method = method_of(setting, own_prefill=True)
    weights = reweighed(setting, method)
    query, _, _, mask, p = setting.tensors()
    k, v = made_by(setting, weights)
    close(decode(method, query, k, v, mask, p, weights=weights), setting.expected(), TOLERANCE)
    q = query[:, :, :p].unflatten(1, (k.shape[1], -1))
    prompt = LayerPrefill(q, k[:, :, :p], None, Scores(k.shape[3] ** -0.5), v=v[:, :, :p])
    close(method.prefill(prompt).output.flatten(1, 2), setting.array("out_prefill"), TOLERANCE)


@every_setting
def test_the_weights_are_those_of_lowest_rank_that_are_nearest(setting):
    weights = reweighed(setting, method_of(setting, own_prefill=True))
    for own, found, rank in (("w_k", weights.k, "rank_k"), ("w_v", weights.v, "rank_v")):
        values = torch.linalg.svdvals(setting.array(own, torch.float64))
        left_out = (setting.array(own, torch.float64) - found.double()).norm()
        assert left_out.item() == pytest.approx(values[setting.given[rank] :].norm().item(), abs=1e-4)


def test_early_layers_keep_more_and_the_last_keeps_the_least():
    assert shares_of_conditions([10, 1000, 10]) == pytest.approx([1, 0.75, 0])
    assert shares_of_conditions([7]) == [1]
    make = torch.Generator().manual_seed(0)
    layers = [Projections(*torch.randn(2, 6, 9, generator=make, dtype=torch.float64)) for _ in range(3)]
    method = create("lorc", rank_k=6, rank_v=4, rank_min=2)
    ranks = [(of.k_space.rank, of.v_space.rank) for of in method.reweigh(layers)]
    assert ranks[0] == (6, 4)
    assert ranks[2] == (2, 2)
    assert 2 <= ranks[1][1] <= ranks[1][0] <= 6


def test_the_condition_of_a_weight_of_lower_rank_is_that_of_its_rank():
    diagonal = torch.diag(torch.tensor([8.0, 2.0, 0.0]))
    assert Spectrum.of(diagonal).condition == pytest.approx(4)
