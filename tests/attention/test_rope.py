"""Rotary embeddings: laws of rotations, and the complex numbers that they are defined by."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attention import Rope
from harness.errors import InputError

D, N = 12, 5


@st.composite
def ropes(draw):
    width = draw(st.sampled_from(range(0, D + 1, 2)))
    frequencies = draw(st.lists(st.floats(-1.5, 1.5), min_size=width // 2, max_size=width // 2))
    scaling = draw(st.sampled_from([1.0, 1.19, 0.7])) if width else 1.0
    return Rope(torch.tensor(frequencies, dtype=torch.float64), draw(st.booleans()), scaling)


def integers(low, high):
    return st.lists(st.integers(low, high), min_size=N, max_size=N).map(torch.tensor)


positions, distances, seeds = integers(0, 10_000), integers(-10_000, 10_000), st.integers(0, 2**20)


def tokens(seed, dtype=torch.float64):
    return torch.randn(2, 3, N, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def close(a, b, atol=1e-9):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def complex_pairs(rope, x):
    """The pairs of the rotated part as complex numbers."""
    half = rope.width // 2
    a, b = (x[..., 0 : 2 * half : 2], x[..., 1 : 2 * half : 2]) if rope.interleaved else (x[..., :half], x[..., half:])
    return torch.complex(a, b[..., :half])


@settings(max_examples=60, deadline=None)
@given(ropes(), positions, seeds)
def test_it_multiplies_pairs_by_a_complex_number_of_angle_position_times_frequency(rope, at, seed):
    x = tokens(seed)
    factor = torch.polar(torch.full_like(rope.inv_freq, rope.scaling), at.double()[:, None] * rope.inv_freq)
    close(complex_pairs(rope, rope.rotate(x, at)), complex_pairs(rope, x) * factor)


@settings(max_examples=60, deadline=None)
@given(ropes(), positions, seeds)
def test_to_unrotate_is_the_inverse_of_to_rotate(rope, at, seed):
    x = tokens(seed)
    close(rope.unrotate(rope.rotate(x, at), at), x)
    close(rope.rotate(rope.unrotate(x, at), at), x)


@settings(max_examples=60, deadline=None)
@given(ropes(), positions, distances, seeds)
def test_to_turn_what_was_rotated_is_to_rotate_at_the_sum(rope, at, by, seed):
    x = tokens(seed)
    close(rope.turn(rope.rotate(x, at), by), rope.rotate(x, at + by))


@settings(max_examples=60, deadline=None)
@given(ropes(), distances, seeds)
def test_a_turn_keeps_norms_and_other_channels(rope, by, seed):
    x = tokens(seed)
    turned = rope.turn(x, by)
    close(turned.norm(dim=-1), x.norm(dim=-1))
    for moved in (turned, rope.rotate(x, by), rope.unrotate(x, by)):
        assert torch.equal(moved[..., rope.width :], x[..., rope.width :])


@settings(max_examples=60, deadline=None)
@given(ropes(), positions, seeds)
def test_to_rotate_on_average_is_the_mean_over_positions(rope, at, seed):
    x = tokens(seed)
    close(rope.rotate_on_average(x, at), torch.stack([rope.rotate(x, p) for p in at]).mean(0))
    by_token = torch.stack([at + n for n in range(N)])
    one_by_one = [rope.rotate_on_average(x[:, :, [n]], at + n) for n in range(N)]
    close(rope.rotate_on_average(x, by_token), torch.cat(one_by_one, 2))


@settings(max_examples=30, deadline=None)
@given(ropes(), st.integers(0, 5_000), st.integers(0, 5_000), st.integers(-4_000, 4_000), seeds)
def test_products_depend_on_the_distance_alone(rope, at, of, by, seed):
    q, k = tokens(seed), tokens(seed + 1)
    here = (rope.rotate(q, torch.tensor(at)) * rope.rotate(k, torch.tensor(of))).sum(-1)
    there = (rope.rotate(q, torch.tensor(at + by)) * rope.rotate(k, torch.tensor(of + by))).sum(-1)
    close(here, there)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_results_have_the_dtype_of_x_and_lose_nothing_but_its_rounding(dtype):
    rope, x = Rope.plain(10_000.0, 8), tokens(3, dtype)
    at = torch.tensor([0, 1, 63, 64, 100])
    exact = rope.rotate(x.double(), at)
    for found, expected in ((rope.rotate(x, at), exact), (rope.turn(x, at), exact)):
        assert found.dtype == dtype
        close(found.double(), expected, atol=4 * torch.finfo(dtype).eps + 4e-5)


def test_positions_are_broadcast_to_rows_and_heads():
    rope, x = Rope.plain(100.0, D), tokens(4)
    at = torch.tensor([[3, 4, 5, 6, 7], [0, 1, 2, 3, 4]])
    found = rope.rotate(x, at[:, None])
    for row in range(2):
        for head in range(3):
            for n in range(N):
                close(found[row, head, n], rope.rotate(x[row, head, n], at[row, n]))


def test_plain_frequencies_are_powers_of_the_base():
    rope = Rope.plain(10_000.0, 8)
    assert (rope.width, rope.interleaved, rope.scaling) == (8, False, 1.0)
    assert rope.inv_freq.tolist() == pytest.approx([1, 0.1, 0.01, 0.001])
    first = rope.rotate(torch.eye(D, dtype=torch.float64)[0], torch.tensor(2))
    assert first.tolist() == pytest.approx([math.cos(2), 0, 0, 0, math.sin(2), *[0] * 7])


def test_too_few_channels_are_refused():
    with pytest.raises(InputError, match="of 16 channels needs as many, x has 12"):
        Rope.plain(10_000.0, 16).rotate(tokens(0), torch.arange(N))
