"""Approximates the rows of all KV heads of a layer together by few dimensions."""

from __future__ import annotations

import torch
from torch import Tensor


def low_rank(x: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the factors of the best approximation of rank r (Frobenius norm) to rows [N, H D], heads side by side.

    x is [B, H, N, D], and rows of zeros change nothing. Returns left [B, N, r], which all heads share, and right [B, H,
    r, D]: left @ right[:, h] approximates head h. r is `rank`, or H D if that is less. By eigenvectors of the Gram
    matrix, in float64; the factors have the dtype of x.
    """
    b, h, n, d = x.shape
    rows = x.transpose(1, 2).reshape(b, n, h * d).double()
    vectors = torch.linalg.eigh(rows.transpose(1, 2) @ rows).eigenvectors[..., -min(rank, h * d) :]
    right = vectors.transpose(1, 2).unflatten(2, (h, d)).transpose(1, 2)
    return (rows @ vectors).to(x.dtype), right.to(x.dtype).contiguous()
