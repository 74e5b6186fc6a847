"""Choosing by stored scores and attending in one launch is what choosing, then attending, is."""

import pytest
import torch
from support.kernels import DEVICE, Inputs, error, normal

from harness.kernels.choice import TokenScores
from harness.kernels.choice.attend import attend_best
from harness.kernels.choice.tiles import FEW_GROUPS, PickTiles, pick_tiles
from harness.kernels.shared.mass import SoftmaxMass, SparseQuery

ONE_LAUNCH = PickTiles(1, 16)


def stored(x, cache, score, window):
    """Return scores [B, H, N] as kernels write them: maxima are of the tokens that may be chosen, the rest poison."""
    column = torch.arange(cache.longest, device=DEVICE)
    free = (column >= x.padding[:, None]) & (column < cache.longest - window)
    scores = TokenScores.empty(x.q, cache.longest, window)
    scores.score[:] = score.masked_fill(~free[:, None], torch.nan)
    padded = torch.nn.functional.pad(score.masked_fill(~free[:, None], -torch.inf), (0, -cache.longest % scores.of))
    scores.largest[:] = padded.unflatten(2, (-1, scores.of)).amax(3)
    return scores


def softmax_over(x, kept, scale):
    """Return exact attention [B, H, G, D] over the kept tokens [B, H, N], in float64."""
    logits = x.q.double() @ x.k.double().transpose(2, 3) * scale
    return logits.masked_fill(~kept[:, :, None], -torch.inf).softmax(3) @ x.v.double()


def kept_by(x, score, k, window):
    """Return the window and the k best older tokens, of equal scores the newest, as a mask [B, H, N]."""
    n = score.shape[2]
    kept = torch.zeros_like(score, dtype=torch.bool)
    for row, first in enumerate(x.padding.tolist()):
        kept[row, :, n - window :] = True
        for head in range(score.shape[1]):
            older = sorted(range(first, n - window), key=lambda at: (-score[row, head, at].item(), -at))
            kept[row, head, older[:k]] = True
    return kept


@pytest.mark.parametrize("kind", ["normal", "tied"])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize(("k", "window"), [(20, 5), (20, 0), (64, 1), (0, 9), (200, 3)])
def test_the_tokens_attended_to_are_those_of_a_sort(k, window, group, kind):
    x = Inputs.random(g=group)
    cache = x.cache(transposed=False)
    drawn = normal(2, 2, cache.longest, seed=k)
    score = {"normal": drawn, "tied": (2 * drawn).round()}[kind]
    got = attend_best(x.q, cache, stored(x, cache, score, window), k, tiles=ONE_LAUNCH)
    assert error(got, softmax_over(x, kept_by(x, score, k, window), x.q.shape[3] ** -0.5)) < 1e-5


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("mix", [False, True])
def test_the_share_that_is_kept_is_of_the_mass_that_is_given(mix, approximate):
    x = Inputs.random(g=3)
    cache, window, k, scale = x.cache(transposed=False), 4, 30, 0.2
    score = normal(2, 2, cache.longest, seed=1)
    sparse = SparseQuery(x.q * (normal(2, 2, 3, 64, seed=2) > 0), normal(2, 2, 3, seed=3).abs())
    query, factor = (sparse.masked, sparse.temperature[..., None]) if approximate else (x.q, scale)
    live = (torch.arange(cache.longest, device=DEVICE) >= x.padding[:, None])[:, None]
    logits = (query.double() @ x.k.double().transpose(2, 3) * factor).masked_fill(~live[:, :, None], -torch.inf)
    mass = SoftmaxMass.empty(x.q, 1, sparse if approximate else None)
    mass.peak[:, :, 0] = logits.amax(3)
    mass.total[:, :, 0] = (logits - logits.amax(3, keepdim=True)).exp().sum(3)
    scores = stored(x, cache, score, window)
    got = attend_best(x.q, cache, scores, k, mass=mass, mix_mean=mix, scale=scale, tiles=ONE_LAUNCH)

    kept = kept_by(x, score, k, window)
    share = logits.softmax(3).masked_fill(~kept[:, :, None], 0).sum(3, keepdim=True)
    mean = x.v.double().masked_fill(~live[..., None], 0).sum(2) / live.sum(2)[..., None]
    expected = share * softmax_over(x, kept, scale)
    assert error(got, expected + (1 - share) * mean[:, :, None] if mix else expected) < 1e-5


@pytest.mark.parametrize(("heads", "group", "groups"), [(300, 1, 10), (300, 4, 2 * FEW_GROUPS)])
def test_heads_that_fill_the_processors_have_a_launch_for_each_where_one_was_not_faster(heads, group, groups):
    assert pick_tiles(heads, group, 128, groups, processors=132) is None


def test_two_launches_give_the_same(monkeypatch):
    x = Inputs.random(g=4)
    cache = x.cache(transposed=False)
    scores = stored(x, cache, normal(2, 2, cache.longest, seed=5), 5)
    joint = attend_best(x.q, cache, scores, 20, tiles=ONE_LAUNCH)
    monkeypatch.setattr("harness.kernels.choice.attend.pick_tiles", lambda *_: None)
    assert error(attend_best(x.q, cache, scores, 20), joint.double()) < 1e-6
