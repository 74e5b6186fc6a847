"""Labels: the rounding of the released codes, written out, and the golden labels that those made."""

import numpy as np
import pytest
import torch

from harness.attention.index.grown import Grown
from harness.attention.index.labels import label_bits, quantised_key, quantised_label

EVERY = pytest.mark.parametrize("quantised", [quantised_label, quantised_key])


@EVERY
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_an_entry_is_rounded_to_the_nearest_of_the_levels_of_its_row(quantised, bits):
    x = torch.randn(3, 5, 9, dtype=torch.float64)
    found = quantised(x, bits)
    for row, back in zip(x.flatten(0, 1).numpy(), found.flatten(0, 1).numpy(), strict=True):
        levels = np.linspace(row.min(), row.max(), 2**bits)
        nearest = [levels[np.abs(levels - entry).argmin()] for entry in row]
        np.testing.assert_allclose(back, nearest, atol=1e-12)


@EVERY
def test_an_entry_in_the_middle_of_two_levels_goes_to_the_even_code(quantised):
    x = torch.tensor([0.0, 0.5, 1.5, 2.5, 3.0])
    assert quantised(x, 2).tolist() == [0, 0, 2, 2, 3]


@EVERY
def test_a_row_of_equal_entries_and_exact_rows_are_read_back_as_they_are(quantised):
    assert quantised(torch.full((2, 4), 0.7), 4).eq(0.7).all()
    x = torch.randn(2, 4)
    assert torch.equal(quantised(x, 16), x)


@EVERY
def test_codes_of_bfloat16_are_those_of_float32(quantised):
    half = torch.randn(4, 16).bfloat16()
    assert torch.equal(quantised(half, 4), quantised(half.float(), 4).bfloat16())


def test_a_label_takes_its_codes_and_two_numbers_beside_them():
    assert label_bits(16, 4) == 16 * 4 + 32
    assert label_bits(16, 16) == 256


def test_labels_are_those_of_the_released_code(shared):
    golden = np.load(shared / "golden" / "methods" / "double_sparsity.npz")
    n = int(golden["mha/prefill_length"]) + 1
    for side, tokens in (("key", slice(0, n)), ("query", slice(n - 1, n))):
        x = torch.from_numpy(golden[f"mha/{side}"][:, :, tokens])
        channels = torch.from_numpy(golden["mha/channels/qk"])[None, :, None, :8]
        labels = quantised_label(x.gather(3, channels.expand(2, -1, x.shape[2], -1)), 4)
        torch.testing.assert_close(labels, torch.from_numpy(golden[f"mha/label/{side}"]), atol=1e-6, rtol=0)


def test_keys_are_quantised_as_the_released_code_does(shared):
    golden = np.load(shared / "golden" / "methods" / "twilight.npz")
    expected = torch.from_numpy(golden["mha/dequantised_key/bits4"])
    key = torch.from_numpy(golden["mha/key"][:, :, : expected.shape[2]])
    torch.testing.assert_close(quantised_key(key, 4), expected, atol=1e-6, rtol=0)


def test_rows_grow_by_the_newest_and_keep_the_others():
    x = torch.randn(2, 3, 7, 4)
    grown = Grown(x[:, :, :5], 2)
    assert torch.equal(grown.append(x[:, :, 5]), x[:, :, :6])
    assert torch.equal(grown.append(x[:, :, 6]), x)
    assert grown.length == 7
