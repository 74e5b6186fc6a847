"""MagicPIG samples tokens that share a query's hash in two tables or more, and lowers their logits by the chance."""

import math

import numpy as np
from hypothesis import strategies as st

from definitions import softmax

KNOBS = {"tables": 3, "bits": 2, "sinks": 1, "local": 2}
VARIANTS = [{"tables": 6, "bits": 4, "sinks": 0, "local": 3, "seed": 2}]
FULL = {"local": 1000}
SETTINGS = st.fixed_dictionaries(
    {"tables": st.integers(2, 8), "bits": st.integers(1, 5), "sinks": st.integers(0, 4), "local": st.integers(0, 6)}
)


def larger(knobs):
    return {"tables": knobs["tables"] + 1}


def chance(cosine, bits, tables):
    """How likely vectors of this cosine agree in two tables or more."""
    p = (1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi) ** bits
    return 1 - sum(math.comb(tables, i) * p**i * (1 - p) ** (tables - i) for i in (0, 1))


def definition(knobs, place):
    planes = place.state.planes[place.kv_head].numpy()
    bits, tables = knobs["bits"], knobs["tables"]

    def agree(x, y):
        sides = ((x @ planes > 0) == (y @ planes > 0)).reshape(tables, bits)
        return sides.all(1).sum() >= 2

    def one_head(head, n, q, logits, hashed, mean):
        kept, lowered = [], []
        for i in range(n):
            centred = head.k[i] - mean
            if i not in hashed:
                kept, lowered = [*kept, i], [*lowered, logits[i]]
            elif agree(q, centred):
                cosine = q @ centred / np.linalg.norm(q) / np.linalg.norm(centred)
                kept, lowered = [*kept, i], [*lowered, logits[i] - math.log(chance(cosine, bits, tables) + 1e-4)]
        return softmax(np.array(lowered)) @ head.v[kept]

    def attend(head, n):
        hashed = range(knobs["sinks"], head.p - knobs["local"])
        mean = head.k[list(hashed)].mean(0) if hashed else 0
        q = head.q[:, n - 1]
        logits = head.logits(q, head.k[:n])
        return np.stack([one_head(head, n, q[g], logits[g], hashed, mean) for g in range(len(q))])

    return attend
