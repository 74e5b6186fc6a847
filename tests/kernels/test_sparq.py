"""SparQ by kernels is SparQ as harness/methods/selection/sparq.py defines it, however it is launched."""

import pytest
import torch
from support.kernels import Inputs, error

from harness import kernels
from harness.kernels.sparq import Tiles
from harness.kernels.sparq.tiles import HeadTiles, ScoreTiles

WHOLE, FUSED = Tiles(HeadTiles(256, 1)), Tiles(HeadTiles(256, 1, fused=True, block=16))
MERGED, SPLIT = Tiles(HeadTiles(64, 1)), Tiles(score=ScoreTiles(64, 1))

TILES = pytest.mark.parametrize(
    "tiles", [WHOLE, MERGED, SPLIT, FUSED, None], ids=["whole", "merged", "split", "fused", "planned"]
)


@TILES
@pytest.mark.parametrize("reallocate", [True, False])
@pytest.mark.parametrize("group", [1, 3])
def test_sparq_equals_its_definition(tiles, reallocate, group):
    x = Inputs.random(g=group)
    knobs = {"r": 16, "k": 20, "local": 5, "reallocate": reallocate}
    assert error(kernels.sparq(x.q, x.cache(), tiles=tiles, **knobs), x.expected("sparq", **knobs)) < 1e-5


@pytest.mark.parametrize("d", [64, 80, 96, 128, 256])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sparq_takes_head_dimensions_up_to_256_and_16_bit_floats(d, dtype):
    x = Inputs.random(b=1, n=70, d=d, dtype=dtype)
    limit = 5e-3 if dtype == torch.float16 else 3e-2
    assert error(kernels.sparq(x.q, x.cache(), r=d // 4 + 1, k=16), x.expected("sparq", r=d // 4 + 1, k=16)) < limit


@TILES
@pytest.mark.parametrize(("r", "k"), [(64, 8), (4, 400), (64, 400), (1, 1)])
def test_knobs_larger_than_the_prompt_or_as_small_as_one_are_taken(tiles, r, k):
    x = Inputs.random()
    assert error(kernels.sparq(x.q, x.cache(), r=r, k=k, tiles=tiles), x.expected("sparq", r=r, k=k)) < 1e-5


def test_a_kept_share_that_is_known_counts_once_when_attention_is_split():
    x = Inputs.random(b=1, h=1, n=1300)
    knobs = {"r": 8, "k": 1100, "local": 4}  # so many tokens that two programs share the head
    got = kernels.sparq(x.q, x.cache(), tiles=Tiles(HeadTiles(2048, 1)), **knobs)
    assert error(got, x.expected("sparq", **knobs)) < 1e-5


def test_full_budget_is_dense():
    x = Inputs.random(g=2)
    assert error(kernels.sparq(x.q, x.cache(), r=64, k=150), x.expected("dense")) < 1e-5


@TILES
@pytest.mark.parametrize("kind", ["peaked", "huge", "zero", "level"])
def test_queries_that_are_peaked_huge_zero_or_level_give_what_the_definition_gives(tiles, kind):
    x = Inputs.random()
    x.q *= {"peaked": 8, "huge": 1000, "zero": 0, "level": 1}[kind]
    if kind == "level":  # which channels are largest must not hang on an exact tie, for which no rule is defined
        x.q[:] = 0.5 + torch.arange(64, device=x.q.device) / 1000
    got = kernels.sparq(x.q, x.cache(), r=16, k=20, tiles=tiles)
    limit = 5e-4 if kind == "huge" else 1e-5  # float32 rounds logits of thousands by 1e-4
    assert error(got, x.expected("sparq", r=16, k=20)) < limit


@TILES
def test_ties_go_to_the_newest(tiles):
    x = Inputs.random(padding=0)
    x.k[:, :, 10:110] = x.k[:, :, 10:11]  # a hundred equal scores, of which some are kept
    x.k[:, :, 10:110, 0] = 1.0
    knobs = {"r": 8, "k": 40, "local": 4}
    assert error(kernels.sparq(x.q, x.cache(), tiles=tiles, **knobs), x.expected("sparq", **knobs)) < 1e-5


@TILES
def test_a_window_as_large_as_the_budget_leaves_nothing_to_choose(tiles):
    x = Inputs.random()
    got = kernels.sparq(x.q, x.cache(), r=8, k=6, local=6, tiles=tiles)
    assert error(got, x.expected("sparq", r=8, k=6, local=6)) < 1e-5


@pytest.mark.parametrize("group", [1, 4])
def test_k_stored_once_gives_the_same(group):
    x = Inputs.random(g=group)
    got = kernels.sparq(x.q, x.cache(transposed=False), r=8, k=20)
    assert error(got, x.expected("sparq", r=8, k=20)) < 1e-5


def test_the_softmax_scale_is_honoured():
    x = Inputs.random()
    assert error(kernels.sparq(x.q, x.cache(), r=8, k=20, scale=0.3), x.expected("sparq", scale=0.3, r=8, k=20)) < 1e-5
