"""RetrievalAttention attends to static tokens and, by query head, to the k best of those that its index reaches."""

import numpy as np
from hypothesis import strategies as st

from definitions import best
from definitions.random_k import mixed

KNOBS = {"k": 2, "sinks": 1, "local": 3, "scan": 0.5}
VARIANTS = [{"k": 2, "sinks": 1, "local": 3, "recall": 0.5, "seed": 1}]
FULL = {"k": 100, "recall": 1.0}
SETTINGS = st.fixed_dictionaries(
    {
        "k": st.integers(1, 9),
        "sinks": st.integers(0, 4),
        "local": st.integers(0, 8),
        "recall": st.sampled_from([0.3, 0.8, 1.0]),
        "seed": st.integers(0, 9),
    }
)


def drawn(seed, *coordinates):
    """The draw of some coordinates."""
    hashed = mixed(seed * 104_729 + 1)
    for place, coordinate in enumerate(coordinates, 1):
        hashed = mixed(hashed * 31 + mixed(coordinate + place * 7_919))
    return hashed / 2**31


def definition(knobs, place):
    def attend(head, n):
        indexed = range(knobs["sinks"], head.p - knobs["local"])
        reachable = [i for i in indexed if drawn(knobs["seed"], place.layer, place.kv_head, i) < knobs["recall"]]
        static = [i for i in range(n) if i not in indexed]
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        outputs = []
        for g, own in enumerate(logits):
            found = [reachable[i] for i in best([own[i] for i in reachable], knobs["k"])]
            outputs.append(head.over(static + found, n)[0][g])
        return np.stack(outputs)

    return attend
