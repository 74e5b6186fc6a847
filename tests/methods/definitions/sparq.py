"""SparQ, algorithm 1 of its paper."""

import math

import numpy as np
from hypothesis import strategies as st

from definitions import BUDGETS, RECENT, best, keep_best

KNOBS = {"r": 3, "k": 6, "local": 2}
VARIANTS = [{"r": 3, "k": 6, "local": 0, "reallocate": False}]
SETTINGS = st.builds(
    lambda r, k, local, reallocate: {"r": r, "k": k, "local": min(local, k), "reallocate": reallocate},
    st.integers(1, 6),
    BUDGETS,
    RECENT,
    st.booleans(),
)


def definition(knobs, _place):
    def attend(head, n):
        q = head.q[:, n - 1]
        channels = best(np.abs(q).sum(0), knobs["r"])
        share = np.abs(q[:, channels]).sum(-1) / np.abs(q).sum(-1)
        d = q.shape[-1]
        temperature = np.sqrt(d * share)
        logits = np.stack([head.k[:n][:, channels] @ q[g, channels] / temperature[g] for g in range(len(q))])
        logits = head.capped(logits * head.scores.scale * math.sqrt(d))
        return keep_best(head, n, logits, knobs["k"], knobs["local"], knobs["reallocate"])

    return attend
