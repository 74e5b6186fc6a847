"""CaM keeps the first and the last tokens, and adds V of the one that leaves next but one to those behind it."""

import torch
from hypothesis import strategies as st

from definitions import BUDGETS
from harness.attention import uniform

KNOBS = {"k": 8, "initial": 2, "merge": 3}
VARIANTS = [
    {"k": 8, "initial": 1, "merge": 2, "draw": "always"},
    {"k": 7, "initial": 0, "merge": 32, "seed": 5},
    {"k": 6, "draw": "never"},
]
SETTINGS = st.builds(
    lambda k, initial, **more: {"k": k, "initial": min(initial, k - 1), **more},
    BUDGETS,
    st.integers(0, 5),
    merge=st.integers(1, 8),
    draw=st.sampled_from(["bernoulli", "always", "never"]),
    seed=st.integers(0, 3),
)


def definition(knobs, place):
    initial, merged = knobs["initial"], {}
    r = knobs["k"] - initial

    def chance(weights, kept, j, newest):
        """How likely the token j is merged."""
        behind = weights[[kept.index(i) for i in range(j + 1, newest + 1)]].mean()
        return weights[kept.index(j)] / behind if behind else 0

    def attend(head, n):
        values = merged.setdefault("v", head.v.copy())
        newest = n - 1
        kept = [i for i in range(n) if i < initial or i > newest - r]
        weights = head.over(kept, n)[1]
        output = weights @ values[kept]
        j = newest - r + 2
        if knobs["draw"] != "never" and initial <= j < newest:
            luck = float(uniform(knobs["seed"], place.layer, torch.tensor(place.kv_head), n))
            if knobs["draw"] == "always" or luck < chance(weights.mean(0), kept, j, newest):
                for i in range(j + 1, min(newest, j + knobs["merge"]) + 1):
                    values[i] += values[j] / knobs["merge"]
        return output

    return attend
