"""Floats of few bits against lists of all their numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention.packed import Packed
from harness.attention.packed.floats import E4M3, NVFP4, as_e2m1, as_e4m3, halves_of_e2m1, halves_of_e4m3, largest

MAGNITUDES = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
TIES = {0.25: 0, 0.75: 1, 1.25: 1, 1.75: 2, 2.5: 2, 3.5: 4, 5: 4}
"""Halfway between two numbers of E2M1: the one whose mantissa is even."""


def read(codes):
    return (halves_of_e2m1(codes).double() * 2**14).tolist()


def test_numbers_of_four_bits_are_themselves_and_a_tie_goes_to_the_even_mantissa():
    numbers = [*MAGNITUDES, *(-size for size in MAGNITUDES)]
    assert read(as_e2m1(torch.tensor(numbers))) == numbers
    for sign in (1, -1):
        assert read(as_e2m1(sign * torch.tensor(list(TIES)))) == [sign * size for size in TIES.values()]
    assert read(as_e2m1(torch.tensor([6.5, -1e30]))) == [6, -6]


@given(st.floats(-7, 7, width=32))
def test_no_number_of_four_bits_is_nearer_than_the_one_taken(x):
    (found,) = read(as_e2m1(torch.tensor([x])))
    assert abs(found - x) == min(abs(sign * size - x) for size in MAGNITUDES for sign in (1, -1))


def test_bytes_are_those_of_the_standard():
    # an exponent of 0 has no leading one; the largest would be 480, which stands for no number
    sizes = [m / 8 * 2**-6 for m in range(8)] + [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)]
    codes = torch.arange(256).to(torch.uint8)
    found = halves_of_e4m3(codes).float() * 2**8
    assert found.tolist() == [*sizes, *(-size for size in sizes)]
    defined = (codes & 127) < 127
    assert torch.equal(codes.view(torch.float8_e4m3fn).float()[defined], found[defined])
    assert torch.equal(as_e4m3(found[defined]).view(torch.uint8), codes[defined])


def test_what_is_beyond_the_largest_number_saturates():
    assert as_e4m3(torch.tensor([449.0, 1e9, -1e9, float("inf")])).float().tolist() == [448, 448, -448, 448]
    read = Packed.of(E4M3(torch.ones(1, 1, 1, 1)), torch.full((1, 1, 1, 2), 1000.0)).read()
    assert read.tolist() == [[[[448, 448]]]]


@pytest.mark.parametrize("d", [8, 16, 24, 64])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_largest_of_a_row_is_read_back_exactly_and_others_within_half_a_step(d, dtype):
    x = torch.randn(2, 3, 5, d, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[1] *= 100
    outer = largest(x) / (6 * 448)
    found = Packed.of(NVFP4(outer, d), x).read()
    at = x.abs().flatten(1).argmax(1, keepdim=True)
    torch.testing.assert_close(found.flatten(1).gather(1, at).to(dtype), x.flatten(1).gather(1, at))
    for i in range(0, d, 16):
        block, error = x[..., i : i + 16].double(), (found - x)[..., i : i + 16].abs().double()
        # half of the widest step (2 of 6), of a scale that is itself rounded by up to a sixteenth
        assert (error.amax(-1) <= block.abs().amax(-1) / 6 * (1 + 1 / 16) * 1.01).all()


def test_blocks_of_nothing_are_read_back_as_nothing():
    x = torch.zeros(1, 1, 2, 32)
    x[..., 0, :16] = 1
    found = Packed.of(NVFP4(largest(x) / (6 * 448), 32), x).read()
    assert torch.equal(found, x)
