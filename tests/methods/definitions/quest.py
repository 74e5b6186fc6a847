"""Quest reads the pages with the highest bounds; the newest token's page competes."""

import numpy as np
from hypothesis import strategies as st

from definitions import best

KNOBS = {"token_budget": 6, "page_size": 2, "dense_layers": 0}
VARIANTS = [
    {"token_budget": 7, "dense_layers": 0, "page_size": 3, "keep_last_page": True},
    {"token_budget": 6, "page_size": 2, "dense_layers": 0, "per_query_head": True},
]
FULL = {"token_budget": 1000}
SETTINGS = st.builds(
    lambda budget, size, last, heads: {
        "token_budget": budget,
        "page_size": size,
        "keep_last_page": last,
        "per_query_head": heads,
    },
    st.integers(1, 20),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
)


def larger(knobs):
    return {"token_budget": knobs["token_budget"] + knobs["page_size"]}


def definition(knobs, _place):
    size, last = knobs["page_size"], knobs["keep_last_page"]
    count = max(1 if last else 3, knobs["token_budget"] // size)

    def attend(head, n):
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
