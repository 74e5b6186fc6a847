"""ReAttention against the authors' own cache, and its limit on hits (theirs leaves ties open) against loops."""

from collections import Counter

import pytest
import torch
from support import random_case

from golden import attended, settings
from harness import methods
from harness.attention import LayerShape, Rope
from harness.errors import InputError
from harness.methods import Budget, create

SMOLLM2 = (LayerShape(3, 64, group=3),) * 30


def rope(setting):
    return Rope.plain(float(setting.array("rope_base")), setting.array("query").shape[-1])


@settings("re_attention")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(create("re_attention", **setting.given), torch.float64, rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(torch.float64), atol=1e-4, rtol=0)


@settings("re_attention")
def test_the_same_tokens_are_kept(setting):
    method = create("re_attention", **setting.given)
    found = attended(method, *setting.tensors(torch.float64), rope=rope(setting))
    assert torch.equal(found, setting.array("kept")[:, None].expand_as(found))


def kept_by_loops(q, k, n, sizes):
    """Positions kept at n tokens, from un-rotated q [H, G, n, D] and k [H, n, D]."""
    clip, sinks, local, top, span, block = sizes.values()
    local -= block - (n - sinks - local) % block
    middle = range(sinks, n - local)
    votes = Counter()
    for head, keys in enumerate(k):
        for query in q[head, :, n - 1]:
            score = {t: float(query @ keys[t]) for t in middle}
            votes.update(sorted(middle, key=lambda t: (score[t], t))[-top:])
    hits = sorted(votes, key=lambda t: (votes[t], t))[-clip:]
    spans = {t for hit in hits for t in range(hit - span // 2, hit + span // 2) if t in middle}
    return {*range(sinks), *spans, *range(n - local, n)}


@pytest.mark.parametrize("clip", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_hits_with_most_votes_stay_and_of_equals_the_newest(clip, seed):
    sizes = {"clip": clip, "sinks": 2, "local": 7, "top": 3, "span": 4, "block": 3}
    case, rope = random_case(pads=(0, 3), p=40, t=5, seed=seed), Rope.plain(10_000, 8)
    found = attended(create("re_attention", **sizes), *case, rope=rope)
    for row, pad in enumerate((0, 3)):
        q, k = (rope.unrotate(x[row, :, pad:], torch.arange(45 - pad)) for x in (case.q, case.k))
        for i in range(5):
            expected = kept_by_loops(q.unflatten(0, (2, 3)), k, 41 + i - pad, sizes)
            for head in found[row, :, i]:
                assert {int(t) - pad for t in head.nonzero()} == expected


def test_all_keys_are_read_so_that_half_the_bytes_is_the_least():
    with pytest.raises(InputError, match="re_attention cannot reach ratio 2"):
        methods.solve("re_attention", Budget(2, 8000, SMOLLM2))
    solved = methods.solve("re_attention", Budget(1.4, 2000, SMOLLM2))
    assert (solved.sinks, solved.local, solved.block) == (32, 250, 31)


def test_a_window_that_could_lose_all_its_tokens_is_refused():
    with pytest.raises(InputError, match="ReAttention needs block of at most local - 1 = 3, not 4"):
        create("re_attention", clip=1, local=4, block=4)
