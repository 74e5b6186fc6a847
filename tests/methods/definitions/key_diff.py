"""KeyDiff keeps the keys of the prompt least like their mean direction, of all or block by block; then newer tokens."""

import numpy as np
from hypothesis import strategies as st

from definitions import BUDGETS, best

KNOBS = {"k": 6}
VARIANTS = [{"k": 5, "block": 4}]
SETTINGS = st.fixed_dictionaries({"k": BUDGETS, "block": st.none() | st.integers(1, 9)})


def least_alike(keys, among, k):
    unit = [keys[i] / np.linalg.norm(keys[i]) for i in among]
    mean = np.mean(unit, 0)
    chosen = best([-float(u @ mean) / np.linalg.norm(mean) for u in unit], k)
    return sorted(among[i] for i in chosen)


def definition(knobs, _place):
    def attend(head, n):
        kept, rest = list(range(head.p))[: knobs["k"]], list(range(head.p))[knobs["k"] :]
        size = knobs["block"] or head.p
        for start in range(0, len(rest), size):
            kept = least_alike(head.k, kept + rest[start : start + size], knobs["k"])
        return head.over([*kept, *range(head.p, n)], n)[0]

    return attend
