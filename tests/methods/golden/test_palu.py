"""Palu against its authors' low-rank module and quantiser of latents."""

from types import SimpleNamespace

import pytest
import torch
from support import close

from golden import settings
from harness.attention import LayerPrefill, Projections, Rope
from harness.attention.calibration import InputMoment
from harness.attention.latents import Latents, hadamard
from harness.attention.scores import Scores
from harness.attention.weights import TruncatedProjections
from harness.methods import create, decode

TOLERANCE = 2e-4
every_setting = settings("palu", lambda setting: setting.given["kind"] != "dense")
BITS = settings("palu", lambda setting: setting.given.get("latent_bits", 16) < 16)


def method_of(setting, own_prefill):
    given = setting.given
    return create(
        "palu",
        rank_k=given["rank_k_per_group"],
        rank_v=given["rank_v_per_group"],
        own_prefill=own_prefill,
        **{knob: given[knob] for knob in ("head_group_size", "latent_bits", "hadamard")},
    )


def factor(setting):
    """What is learnt of the prompts of all rows."""
    learning, found = InputMoment(8), None
    _, _, _, _, p = setting.tensors()
    for row in setting.array("hidden", torch.float64)[:, :p]:
        found = learning.fold(found, SimpleNamespace(inputs=row[None]))
    return learning.finish(found)


def given_latents(setting, method, of):
    """Latents by the factors that the file holds: singular vectors have no sign, and the quantiser is not symmetric."""
    ups = setting.array(f"up_{of}", torch.float64)
    ups = [up @ hadamard(up.shape[1]) for up in ups] if method.hadamard else list(ups)  # the file's are rotated
    scales = [up.norm(dim=0) for up in ups]
    bases = [up / scale for up, scale in zip(ups, scales, strict=True)]
    return Latents.of(bases, scales, method.latent_bits, method.hadamard)


def own_weights(setting):
    heads = setting.tensors()[1].shape[1]
    return Projections(setting.array("w_k", torch.float32), setting.array("w_v", torch.float32), heads=heads)


def reweighed(setting, method):
    if method.lossy:
        return TruncatedProjections.of(own_weights(setting), *(given_latents(setting, method, of) for of in "kv"))
    return method.reweigh([own_weights(setting)], [factor(setting)])[0]


def made_by(setting, weights):
    """Keys and values [B, H, N, D] that weights make of the hidden states."""
    b, h, n, d = setting.tensors()[1].shape
    hidden = setting.array("hidden", torch.float32)
    k, v = ((hidden @ w.T).view(b, n, h, d).transpose(1, 2) for w in (weights.k, weights.v))
    return Rope.plain(10_000, d).rotate(k, torch.arange(n)), v


@every_setting
def test_a_projected_cache_decodes_as_published(setting):
    method = method_of(setting, own_prefill=False)
    place = {"weights": reweighed(setting, method), "rope": Rope.plain(10_000, setting.tensors()[0].shape[3])}
    close(setting.decode(method, calibration=factor(setting), **place), setting.expected(), TOLERANCE)


@every_setting
def test_projected_weights_prefill_and_decode_as_published(setting):
    method = method_of(setting, own_prefill=True)
    weights = reweighed(setting, method)
    query, _, _, mask, p = setting.tensors()
    k, v = made_by(setting, weights)
    rope = Rope.plain(10_000, k.shape[3])
    found = decode(method, query, k, v, mask, p, weights=weights, rope=rope, calibration=factor(setting))
    close(found, setting.expected(), TOLERANCE)
    q = query[:, :, :p].unflatten(1, (k.shape[1], -1))
    scores = Scores(k.shape[3] ** -0.5)
    prompt = LayerPrefill(q, k[:, :, :p], None, scores, rope=rope, v=v[:, :, :p], weights=weights)
    close(method.prefill(prompt).output.flatten(1, 2), setting.array("out_prefill"), TOLERANCE)


@BITS
def test_the_directions_are_the_released_ones_but_for_their_signs(setting):
    method = method_of(setting, own_prefill=True)
    own = method.reweigh([own_weights(setting)], [factor(setting)])[0]
    for space, weight, of in ((own.k_space, own.k, "k"), (own.v_space, own.v, "v")):
        downs, ups = setting.array(f"down_{of}", torch.float64), setting.array(f"up_{of}", torch.float64)
        released = [up @ down for up, down in zip(ups, downs.split(ups.shape[2]), strict=True)]
        close(weight.double(), torch.cat(released), TOLERANCE)
        given = given_latents(setting, method, of)
        close((space.basis.double() * given.basis).sum(0).abs(), torch.ones(given.rank, dtype=torch.float64), TOLERANCE)
        close(space.up.double().norm(dim=1), given.up.norm(dim=1), TOLERANCE)


@pytest.mark.parametrize("rank", [1, 2, 8, 12, 7, 96])
def test_a_hadamard_matrix_is_orthonormal_and_spreads_within_its_blocks(rank):
    matrix = hadamard(rank)
    close(matrix @ matrix.T, torch.eye(rank, dtype=torch.float64))
    assert (matrix.abs() > 0).sum(0).tolist() == [rank & -rank] * rank
