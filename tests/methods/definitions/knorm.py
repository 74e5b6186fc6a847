"""The key norm keeps the shortest keys of the prompt, then every newer token."""

import numpy as np
from hypothesis import strategies as st

from definitions import BUDGETS, best

KNOBS = {"k": 6}
SETTINGS = st.fixed_dictionaries({"k": BUDGETS})


def definition(knobs, _place):
    def attend(head, n):
        kept = best([-np.linalg.norm(key) for key in head.k[: head.p]], knobs["k"])
        return head.over([*kept, *range(head.p, n)], n)[0]

    return attend
