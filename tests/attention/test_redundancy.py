"""How much keys repeat one another, against the whole matrix of cosines."""

import pytest
import torch

from harness.attention import redundancy as module
from harness.attention.redundancy import redundancy


def written_out(keys, threshold, spare_first):
    """Of keys [N, D]: the mean over rows of the matrix, in each of which one entry is spared."""
    unit = keys / keys.norm(dim=-1, keepdim=True)
    cosine = unit @ unit.T
    cosine.fill_diagonal_(0)
    for row in cosine:
        similar = (row > threshold).nonzero()[:, 0].tolist()
        row[max(similar) if similar and not spare_first else 0] = 0
    return cosine.mean(0)


@pytest.mark.parametrize("spare_first", [False, True])
@pytest.mark.parametrize("block", [4, 128])
@pytest.mark.parametrize("threshold", [-0.2, 0.3, 0.9])
def test_it_is_the_mean_of_the_matrix_over_what_is_valid(spare_first, block, threshold, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    keys = torch.randn(2, 2, 13, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    keys[:, :, 7] = keys[:, :, 3] * 1.5
    valid = torch.ones(2, 2, 13, dtype=torch.bool)
    valid[1, :, :4] = valid[0, 1, 5] = False
    found = redundancy(keys, valid, threshold, spare_first)
    assert (found[~valid] == 0).all()
    for row, head in ((0, 0), (0, 1), (1, 0), (1, 1)):
        of = valid[row, head]
        expected = written_out(keys[row, head, of], threshold, spare_first)
        torch.testing.assert_close(found[row, head, of], expected, atol=1e-7, rtol=0)


def test_of_copies_the_older_are_the_more_redundant():
    keys = torch.eye(5)[[0, 1, 1, 2, 1]]
    found = redundancy(keys[None, None], torch.ones(1, 1, 5, dtype=torch.bool), 0.5, spare_first=False)[0, 0]
    assert found.tolist() == pytest.approx([0, 2 / 5, 1 / 5, 0, 0])
