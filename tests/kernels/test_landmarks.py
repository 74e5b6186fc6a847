"""Chunks chosen by landmarks, in kernels, are those that ShadowKV chooses, and attended to as it does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernels import Inputs, error

from harness import methods
from harness.attention import Rope
from harness.kernels import find_binding
from harness.kernels.landmarks import Chunks, attend_to_chunks
from harness.kernels.shared.tiles import AttendTiles

KNOBS = {"k": 32, "chunk": 4, "rank": 12, "outliers": 3, "local_chunks": 2}


def distance(x, longest=None, tiles=None, **changed):
    """The kernels' relative distance from ShadowKV with these knobs, which starts in the same type."""
    rope = Rope.plain(10_000, x.k.shape[3])
    method = methods.create("shadow_kv", **KNOBS | changed)
    cache = x.cache(transposed=False)
    cache.longest = longest or cache.longest
    chunks = Chunks.of(method.start(x.prefix(x.k.dtype, rope=rope)), method.chunk)
    output = attend_to_chunks(x.q, cache, chunks, count=method.k // method.chunk, tiles=tiles)
    return error(output, x.expected("shadow_kv", dtype=x.k.dtype, rope=rope, **KNOBS | changed))


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("k", [4, 32, 400])
@pytest.mark.parametrize("outliers", [0, 5])
def test_attention_to_the_heaviest_chunks_equals_the_definition(group, k, outliers):
    assert distance(Inputs.random(g=group), k=k, outliers=outliers) < 1e-5


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 90),
    padding=st.integers(0, 88),
    chunk=st.integers(1, 20),
    count=st.integers(1, 8),
    outliers=st.integers(0, 9),
    local=st.integers(0, 4),
)
def test_chunks_of_any_size_equal_the_definition_in_prompts_of_any_length(n, padding, chunk, count, outliers, local):
    x = Inputs.random(h=1, n=n, d=16, padding=min(padding, n - 2), seed=n)
    assert distance(x, k=count * chunk, chunk=chunk, outliers=outliers, local_chunks=local) < 1e-5


def test_landmarks_of_many_programs_equal_the_definition():
    assert distance(Inputs.random(b=1, h=1, g=2, n=3000, d=16), k=64, chunk=2) < 1e-5


def test_fewer_tokens_than_a_chunk_choose_nothing_and_attend_to_what_is_exact():
    assert distance(Inputs.random(g=2), k=3, chunk=4) < 1e-5


def test_how_many_tokens_are_decoded_is_read_from_the_device():
    assert distance(Inputs.random(n=150), longest=192) < 1e-5


@pytest.mark.parametrize("tiles", [AttendTiles(16, 1, 1), AttendTiles(32, 2, 3)], ids=str)
def test_however_attention_to_chunks_is_split_the_output_is_the_same(tiles):
    assert distance(Inputs.random(g=2, n=151, d=32), tiles=tiles) < 1e-5


def test_every_setting_is_served():
    assert find_binding(methods.create("shadow_kv", k=64)) is not None
