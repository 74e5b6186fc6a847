"""StreamingLLM keeps the first tokens and the last, and gives keys and query positions in the order of the cache."""

import numpy as np
from hypothesis import strategies as st

from definitions import softmax

KNOBS = {"k": 7, "initial": 3}
VARIANTS = [{"k": 5, "initial": 0}]
PREFILL = [{**KNOBS, "mask_prefill": True}]
SETTINGS = st.builds(
    lambda more, initial: {"k": initial + more, "initial": initial}, st.integers(1, 20), st.integers(0, 6)
)


def turned(x, by, base=10_000):
    """Rows x [n, D], each turned by so many positions: channels i and i + D/2 are a complex number."""
    half = x.shape[-1] // 2
    angles = np.asarray(by)[:, None] * base ** (-np.arange(half) / half)
    z = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([z.real, z.imag], -1)


def in_the_cache(head, kept, n):
    """Attention over the kept tokens in the order of the cache, keys un-rotated first: output and weights."""
    kept, g = sorted(kept), len(head.q)
    bare = turned(head.k[kept], -np.array(kept))
    keys = turned(bare, np.arange(len(kept)))
    query = turned(turned(head.q[:, n - 1], np.full(g, 1 - n)), np.full(g, len(kept) - 1))
    weights = softmax(head.logits(query, keys))
    return weights @ head.v[kept], weights, kept


def definition(knobs, _place):
    k, initial = knobs["k"], knobs["initial"]
    return lambda head, n: in_the_cache(head, {*range(min(initial, n)), *range(max(0, n - (k - initial)), n)}, n)[0]
