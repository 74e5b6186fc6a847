"""GEAR compresses the prompt, then every full buffer, as chunks: codes, outliers and thin factors of what is lost."""

import numpy as np
import torch
from hypothesis import strategies as st

from harness.attention.draws import uniform

KNOBS = {"bits": 2, "group_size": 4, "outlier_fraction": 0.2, "buffer": 4}
VARIANTS = [
    {"bits": 4, "group_size": 0, "outlier_fraction": 0.15, "rank_prefill": 2, "buffer": 5, "iterations": None},
    {"bits": 2, "group_size": 16, "outlier_fraction": 0.3, "rank": 0, "buffer": 6, "key_outliers": "released"},
]
FULL = {"buffer": 64}
SOLVED = {"group_size": 8, "buffer": 32}
SETTINGS = st.fixed_dictionaries(
    {
        "bits": st.sampled_from([2, 4]),
        "group_size": st.sampled_from([0, 2, 3, 6]),
        "outlier_fraction": st.sampled_from([0.0, 0.25, 0.4, 1.0]),
        "rank_prefill": st.integers(0, 3),
        "rank": st.integers(0, 3),
        "buffer": st.integers(1, 9),
        "iterations": st.sampled_from([None, 1, 3]),
        "key_outliers": st.sampled_from(["paper", "released"]),
        "seed": st.integers(0, 2),
    }
)


def larger(knobs):
    """A few more outliers where a ratio left fewer than usual, else twice the bits, beyond four an exact cache."""
    if knobs["outlier_fraction"] < 0.02:
        return {"outlier_fraction": knobs["outlier_fraction"] + 2e-6}
    return {"bits": 4} if knobs["bits"] == 2 else {"buffer": 1 << 20}


def rounded(group, bits):
    """The numbers of a group, each as the nearest of 2^bits that are evenly spread between its ends."""
    low, step = group.min(), (group.max() - group.min()) / (2**bits - 1)
    return low + np.round((group - low) / step) * step if step else group


def row_read_back(row, count, size, bits):
    """A row of numbers, `count` least and greatest exact, others in groups; what fills no group is exact."""
    order = row.argsort(kind="stable")
    exact = [*order[:count], *order[len(row) - count :]] if 2 * count < len(row) else list(order)
    filled, out = row.copy(), row.copy()
    filled[exact] = row.mean()
    for start in range(0, len(row) // size * size, size):
        out[start : start + size] = rounded(filled[start : start + size], bits)
    out[exact] = row[exact]
    return out


def thin(lost, rank, iterations, start):
    """The product of thin factors that is close to what was lost of one KV head."""
    rank = min(rank, *lost.shape)
    if iterations is None:
        u, s, v = np.linalg.svd(lost, full_matrices=False)
        return (u[:, :rank] * s[:rank]) @ v[:rank]
    p = start[:, :rank]
    for last in range(iterations - 1, -1, -1):
        q = lost @ (p if last else np.linalg.qr(p)[0])
        p = lost.T @ (q if last else np.linalg.qr(q)[0])
    return np.linalg.qr(q)[0] @ p.T


def chunk_read_back(x, of, knobs, rank, layer, place):
    """A chunk of keys (0) or values (1) of all KV heads, [H, C, D], that begins at a place."""
    h, c, d = x.shape
    if of:
        count = int(knobs["outlier_fraction"] * h * d / 2)
        rows = [row_read_back(x[:, i].ravel(), count, knobs["group_size"] or h * d, knobs["bits"]) for i in range(c)]
        found = np.stack([row.reshape(h, d) for row in rows], 1)
    else:
        count = int(knobs["outlier_fraction"] * (c if knobs["key_outliers"] == "paper" else h * d) / 2)
        found = np.empty_like(x)
        for i, j in np.ndindex(h, d):
            found[i, :, j] = row_read_back(x[i, :, j], count, knobs["group_size"] or c, knobs["bits"])
    for i in range(h if rank else 0):
        channel, column = torch.arange(d)[:, None], torch.arange(rank)
        start = uniform(knobs["seed"], layer, of, place, i, channel, column).numpy()
        found[i] += thin(x[i] - found[i], rank, knobs["iterations"], start)
    return found


def definition(knobs, place):
    def read_back(head, of, n):
        x = np.stack([(one.v if of else one.k)[:n] for one in head.row])
        first = head.p - head.p % knobs["buffer"]
        starts = [0] * (first > 0) + list(range(first, n - knobs["buffer"], knobs["buffer"]))
        out = x.copy()
        for start in starts:
            size, rank = (knobs["buffer"], knobs["rank"]) if start or not first else (first, knobs["rank_prefill"])
            chunk = slice(start, start + size)
            out[:, chunk] = chunk_read_back(x[:, chunk], of, knobs, rank, place.layer, start)
        return out[place.kv_head]

    def attend(head, n):
        k, v = (read_back(head, of, n) for of in (0, 1))
        weights = np.exp(head.logits(head.q[:, n - 1], k))
        return weights / weights.sum(-1, keepdims=True) @ v

    return attend
