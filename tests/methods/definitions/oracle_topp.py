"""The oracle of a share keeps the largest weights, of the group's mean or of each query head, until they sum to p."""

import numpy as np
from hypothesis import strategies as st

from definitions import best, softmax

KNOBS = {"p": 0.6}
VARIANTS = [{"p": 0.6, "per_query_head": True}]
FULL = {"p": 1.0}
SETTINGS = st.fixed_dictionaries({"p": st.floats(0.01, 0.99), "per_query_head": st.booleans()})


def definition(knobs, _place):
    def kept(weights, n):
        return next(kept for kept in (best(weights, count) for count in range(1, n + 1)) if share(weights, kept, n))

    def share(weights, kept, n):
        return len(kept) == n or sum(weights[i] for i in kept) >= knobs["p"]

    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], head.k[:n]))
        if not knobs["per_query_head"]:
            return head.over(kept(weights.mean(0), n), n)[0]
        return np.stack([head.over(kept(own, n), n)[0][g] for g, own in enumerate(weights)])

    return attend
