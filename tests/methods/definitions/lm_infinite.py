"""LM-Infinite keeps the first tokens and the last; with a ceiling, first ones that are not near look equally far."""

import numpy as np
from hypothesis import strategies as st

from definitions import softmax
from definitions.streaming_llm import turned

KNOBS = {"k": 7, "initial": 3}
VARIANTS = [{**KNOBS, "ceiling": "local"}, {**KNOBS, "ceiling": 9}]
PREFILL = [{**KNOBS, "mask_prefill": True, **more} for more in ({}, {"ceiling": "local"}, {"ceiling": 9})]
SETTINGS = st.builds(
    lambda more, initial, ceiling: {"k": initial + more, "initial": initial, "ceiling": ceiling},
    st.integers(1, 20),
    st.integers(0, 6),
    st.sampled_from([None, "local", 1, 8, 30]),
)


def definition(knobs, _place):
    k, initial, ceiling = knobs["k"], knobs["initial"], knobs.get("ceiling")
    local = k - initial

    def attend(head, n):
        near, first = [*range(max(0, n - local), n)], [*range(min(initial, max(0, n - local)))]
        if ceiling is None:
            return head.over([*first, *near], n)[0]
        far = min(local if ceiling == "local" else ceiling, n - 1)
        query = turned(head.q[:, n - 1], np.full(len(head.q), far - (n - 1)))
        bare = turned(head.k[first], [-i for i in first])
        logits = np.concatenate([head.logits(query, bare), head.logits(head.q[:, n - 1], head.k[near])], 1)
        return softmax(logits) @ head.v[[*first, *near]]

    return attend
