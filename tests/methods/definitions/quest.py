"""Quest reads the pages with the highest bounds; the newest token's page competes."""

import numpy as np
from hypothesis import strategies as st

from definitions import Head, best

KNOBS = {"token_budget": 6, "page_size": 2, "dense_layers": 0}
VARIANTS = [
    {"token_budget": 7, "dense_layers": 0, "page_size": 3, "keep_last_page": True},
    {"token_budget": 6, "page_size": 2, "dense_layers": 0, "per_query_head": True},
    {"token_budget": 6, "page_size": 2, "dense_layers": 0, "keep_last_page": True}
    | {"base": "kivi", "base_bits": 2, "base_group_size": 4, "base_residual_length": 4},
]
BASES = st.builds(
    lambda bits, group, groups: {
        "base": "kivi",
        "base_bits": bits,
        "base_group_size": group,
        "base_residual_length": group * groups,
    },
    st.sampled_from([2, 4, 8]),
    st.integers(1, 3),  # of which each divides the head dimension
    st.integers(1, 4),
)
SETTINGS = st.builds(
    lambda budget, size, last, heads, base: {
        "token_budget": budget,
        "page_size": size,
        "keep_last_page": last,
        "per_query_head": heads,
        **base,
    },
    st.integers(1, 20),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.just({}) | BASES,
)


def FULL(knobs):
    """All tokens; a base keeps all of them exactly."""
    return {"token_budget": 1000} | ({"base_residual_length": 64} if "base" in knobs else {})


def larger(knobs):
    return {"token_budget": knobs["token_budget"] + knobs["page_size"]}


def rounded(x, bits):
    """A group of numbers as the nearest of 2^bits from its least to its greatest."""
    step = (x.max() - x.min()) / (2**bits - 1)
    return x if step == 0 else x.min() + step * np.array([round(value) for value in (x - x.min()) / step])


def read_back(head, n, knobs):
    """K and V as KIVI holds them when the newest of n tokens has come: nothing older is exact but the tails."""
    bits, g, r = knobs["base_bits"], knobs["base_group_size"], knobs["base_residual_length"]
    k, v = head.k.copy(), head.v.copy()
    for token in range(0, (n - 1) // r * r, g):
        for channel in range(k.shape[1]):
            k[token : token + g, channel] = rounded(k[token : token + g, channel], bits)
    for token in range(max(0, n - 1 - r)):
        for channel in range(0, v.shape[1], g):
            v[token, channel : channel + g] = rounded(v[token, channel : channel + g], bits)
    return Head(head.q, k, v, head.p, head.scores)


def definition(knobs, _place):
    size, last = knobs["page_size"], knobs["keep_last_page"]
    count = max(1 if last else 3, knobs["token_budget"] // size)

    def attend(exact, n):
        head = read_back(exact, n, knobs) if "base" in knobs else exact
        pages = [list(range(i, min(i + size, n))) for i in range(0, n, size)]
        extremes = [(head.k[page].min(0), head.k[page].max(0)) for page in pages]
        bounds = np.array([[np.maximum(q * lo, q * hi).sum() for lo, hi in extremes] for q in head.q[:, n - 1]])
        if not knobs["per_query_head"]:
            bounds = np.broadcast_to(bounds.sum(0), bounds.shape).copy()
        if last:
            bounds[:, -1] = np.inf
        kept = [[token for page in best(scores, count) for token in pages[page]] for scores in bounds]
        return np.stack([head.over(tokens, n)[0][g] for g, tokens in enumerate(kept)])

    return attend
