"""Makes the few values that numbers between -1 and 1 are rounded to, and rounds to the nearest."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

ITERATIONS = 100
"""Times that centres are moved to the means of their values."""
SAMPLE = 1 << 15
"""Values of a row that centres are fitted to, at most."""


def rounded(x: Tensor, centres: Tensor) -> Tensor:
    """Return the number, uint8, of the nearest of a row's rising centres [B, C] for x [B, ...], the lower of equals."""
    codes = torch.zeros_like(x, dtype=torch.uint8)
    for middle in ((centres[:, 1:] + centres[:, :-1]) / 2).unbind(1):
        codes += x > middle.view(-1, *(1 for _ in x.shape[1:]))
    return codes


def even(bits: int) -> Tensor:
    """Return 2^bits centres at equal distances from -1 to 1."""
    return torch.linspace(-1, 1, 1 << bits, dtype=torch.float64)


@cache
def normal_float(bits: int) -> Tensor:
    """Return 2^bits centres [C] from -1 to 1 that a normal variable falls to about equally often; one of them is 0.

    Source: Dettmers et al., QLoRA (arXiv 2305.14314), section 3; as KVQuant sets its outermost quantiles.
    """
    half, outermost = 1 << (bits - 1), (1 / 32 + 1 / 30) / 2
    shares = (outermost, 0.5, half), (0.5, 1 - outermost, half + 1)
    negative, positive = (torch.special.ndtri(torch.linspace(*of, dtype=torch.float64)) for of in shares)
    return torch.cat((negative / -negative[0], positive[1:] / positive[-1]))


def fitted_to_tokens(x: Tensor, inside: Tensor, trained: Tensor, bits: int) -> Tensor:
    """Fit centres to the entries of x [B, H, n, D] that are `inside`, of tokens that are `trained` [B, n], adjacent.

    Of more than SAMPLE entries, as many at equal distances in the order of tokens are tried.
    """
    width = x.shape[1] * x.shape[3]
    start, total = (of * width for of in (trained.int().argmax(1), trained.sum(1)))
    place = torch.arange(max(1, min(SAMPLE, int(total.max()))), device=x.device)
    tried = total.clamp(max=SAMPLE)[:, None]
    index = (start[:, None] + place * total[:, None] // tried.clamp_min(1)).clamp(max=x.shape[2] * width - 1)
    values, sound = (of.transpose(1, 2).flatten(1).gather(1, index) for of in (x, inside))
    return fitted(values, sound & (place < tried), bits)


def fitted(x: Tensor, live: Tensor, bits: int) -> Tensor:
    """Return 2^bits centres of each row's live values x [B, M], rising: [B, C] float64.

    Lloyd's algorithm starts from quantiles and moves each centre to the mean of the values nearest to it; one without
    values stays. Rows without live values have centres at equal distances.
    """
    count = live.sum(1, keepdim=True)
    ordered = x.double().masked_fill(~live, torch.inf).sort(1).values
    sums = pad(ordered.masked_fill(torch.arange(x.shape[1], device=x.device) >= count, 0).cumsum(1), (1, 0))
    centres = even(bits).to(x.device).expand(len(x), -1)
    share = (torch.arange(1 << bits, device=x.device) + 0.5) / (1 << bits)
    start = ordered.gather(1, (share * count).long().clamp(max=x.shape[1] - 1))
    centres = torch.where(count > 0, start, centres)
    for _ in range(ITERATIONS):
        middles = (centres[:, 1:] + centres[:, :-1]) / 2
        inner = torch.searchsorted(ordered, middles, right=True)
        edges = torch.cat((torch.zeros_like(count), inner.clamp(max=count), count), 1)
        sizes, totals = edges.diff(dim=1), sums.gather(1, edges).diff(dim=1)
        centres = torch.where(sizes > 0, totals / sizes.clamp_min(1), centres)
    return centres
