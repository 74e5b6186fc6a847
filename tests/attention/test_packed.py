"""Tokens that are held packed read back as they would be if nothing were packed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention import LayerPrefix
from harness.attention.packed import Growing, Packed, PackedCache, PackedTokens, Uniform, aligned, pack, unpack
from harness.attention.packed.places import mask_by_place
from harness.attention.packed.ranges import Ranges
from harness.attention.scores import Scores
from harness.attention.step import Step


def quantised(x, bits, size, dim):
    """What groups of so many entries along an axis are read back as, one group after the other."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    out = torch.empty_like(x)
    for group, read in zip(x.split(size, dim), out.split(size, dim), strict=True):
        low, high = (end(dim, keepdim=True) for end in (group.to(precise.dtype).amin, group.to(precise.dtype).amax))
        scale = ((high - low) / (2**bits - 1)).to(x.dtype)
        scale = torch.where(scale == 0, 1, scale)
        codes = ((group.to(precise.dtype) - low) / scale).round().clamp(0, 2**bits - 1)
        read.copy_(codes * scale + low.to(x.dtype))
    return out


def drawn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@given(bits=st.integers(1, 8), width=st.integers(1, 21), seed=st.integers(0, 99))
def test_codes_are_read_back_and_take_as_many_bytes_as_their_bits_do(bits, width, seed):
    codes = torch.randint(0, 1 << bits, (3, 2, width), generator=torch.Generator().manual_seed(seed))
    packed = pack(codes, bits)
    each = {1: 8, 2: 4, 3: 2, 4: 2}.get(bits, 1)
    assert (packed.dtype, packed.shape) == (torch.uint8, (3, 2, -(-width // each)))
    assert torch.equal(unpack(packed, bits, width).long(), codes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_groups_are_read_back_bit_for_bit_as_if_they_had_not_been_packed(dtype, dim, bits):
    x = drawn(2, 3, 24, 16, dtype=dtype)
    x[0, 0] = 1.5  # groups of equal numbers
    assert torch.equal(Packed.of(Uniform(bits, 8, dim), x).read(), quantised(x, bits, 8, dim))


def test_pieces_of_some_rows_are_read_back_as_they_were_put():
    form, growing, pieces = Uniform(4, 4, -2), Growing(Uniform(4, 4, -2), 11), drawn(3, 2, 1, 4, 8)
    growing.put([0, 1], [0, 4], pieces[0])
    growing.put([1], [0], pieces[1])
    growing.put([0], [8], pieces[2])
    read = growing.read(12)
    for row, first, piece in ((0, 0, 0), (0, 8, 2)):
        assert torch.equal(read[row, :, first : first + 4], Packed.of(form, pieces[piece]).read()[row])
    assert not read[0, :, 4:8].any()


def codes_of(count, start, tail, chunk):
    """How many of so many tokens are in codes, of which `start` were at first."""
    return start + max(0, -(-(count - tail + 1 - start) // chunk)) * chunk


@pytest.mark.parametrize(("tail", "chunk"), [(1, 1), (5, 1), (8, 4), (8, 8)])
@pytest.mark.parametrize("lengths", [(23, 23), (23, 12), (9, 23)])
@pytest.mark.parametrize("newest_exact", [True, False])
def test_every_token_is_read_from_codes_once_it_has_left_the_tail(tail, chunk, lengths, newest_exact):
    s, t, form, x = max(lengths), 21, Uniform(2, 4, -1), drawn(2, 3, 44, 8)
    mask = (torch.arange(s + t) >= torch.tensor([[s - n] for n in lengths]))[:, None]
    prefix = LayerPrefix(x[:, :, :s], x[:, :, :s], mask[..., :s], t)
    settled = [codes_of(n, 0, tail, chunk) for n in lengths]
    prompt = aligned(prefix.k, prefix)
    codes = Packed.of(form, prompt[:, :, : max(settled)])
    cache = PackedCache(prefix, *(PackedTokens(prefix, prompt, codes, settled, form, tail, chunk) for _ in "kv"))
    for n in range(s + 1, s + t + 1):
        step = Step(drawn(2, 3, 1, 8), x[:, :, :n], x[:, :, :n], mask[..., :n], Scores(1.0))
        for do in [cache.settle, lambda step=step: cache.append(step)][:: 1 if newest_exact else -1]:
            do()
        seen = cache.seen_by(step)
        for row, length in enumerate(lengths):
            count = length + n - s
            cut = codes_of(count - newest_exact, settled[row], tail, chunk)
            live = x[row, :, n - count : n]
            expected = torch.cat([quantised(live[:, :cut], 2, 4, -1), live[:, cut:]], 1)
            assert torch.equal(seen.k[row, :, :count], expected)
            assert torch.equal(seen.v[row, :, :count], expected)
            assert seen.mask[row, 0].tolist() == [True] * count + [False] * (max(lengths) - length)
            assert not seen.k[row, :, count:].any()


def test_a_window_hides_the_same_tokens_by_place_as_by_column():
    mask = torch.tensor([[[False, False, True, True]], [[False, False, False, True]]])
    assert mask_by_place(mask, [1, 2]).tolist() == [[[False, True, True]], [[False, True, False]]]
    assert mask_by_place(mask, [0, 0]) is mask


def test_a_channel_is_read_back_within_the_ends_of_what_was_live():
    x, live = drawn(2, 3, 12, 8), torch.arange(12) < torch.tensor([[12], [7]])
    form = Ranges.of(x, live[:, None], 4)
    read = Packed.of(form, 3 * x).read()
    for row, count in ((0, 12), (1, 7)):
        low, high = x[row, :, :count].amin(1, keepdim=True), x[row, :, :count].amax(1, keepdim=True)
        step = (high - low) / 15
        nearest = (3 * x[row]).clamp(low, high)
        assert ((read[row] - nearest).abs() <= step / 2 * 1.001).all()
        assert (read[row].unique(dim=1).shape[1]) <= 16
