"""vAttention attends to sure tokens and to a random sample of the others, as large as the denominator's error asks."""

import math
from statistics import NormalDist

import numpy as np
from hypothesis import strategies as st

from definitions import best
from definitions.retrieval_attention import drawn

KNOBS = {"k": 2, "sinks": 1, "local": 2, "base": 0.2}
VARIANTS = [
    {"k": 1, "sinks": 0, "local": 1, "base": 3, "epsilon": 0.5, "delta": 0.4, "seed": 4},
    {"k": 3, "sinks": 1, "local": 2, "base": 0},
]
FULL = {"k": 1000}
SETTINGS = st.fixed_dictionaries(
    {
        "k": st.integers(0, 4),
        "sinks": st.integers(0, 4),
        "local": st.integers(0, 4),
        "base": st.sampled_from([0, 2, 5, 0.1, 0.5, 1.0]),
        "epsilon": st.sampled_from([0.1, 0.3, 1.0]),
        "delta": st.sampled_from([0.05, 0.4, 0.6]),
        "seed": st.integers(0, 9),
    }
)


def sample(knobs, e, sure, others, uniforms):
    """The tokens that are drawn and the weight of each, for masses e."""
    count, base = len(others), knobs["base"]
    nb = max(2, min(count, base if isinstance(base, int) else int(base * count)))
    token = [[others[int(u * count)] for u in of] for of in uniforms]
    first = token[0][:nb]
    spread = max(np.std([e[i] for i in first], ddof=1), 1e-8)
    denominator = sum(e[i] for i in sure) + count / nb * sum(e[i] for i in set(first))
    wanted = (NormalDist().inv_cdf(1 - knobs["delta"]) * spread * count / (knobs["epsilon"] * denominator)) ** 2
    m = min(count, max(nb, int(min(max(wanted, 1), count))))
    return dict.fromkeys(token[1][:m], count / m)


def definition(knobs, place):
    def one_head(head, n, logits, uniforms):
        others = list(range(knobs["sinks"], n - knobs["local"]))
        sure = {i for i in range(n) if i not in others}
        sure |= {others[i] for i in best([logits[i] for i in others], knobs["k"])}
        e = np.exp(logits - logits.max())
        if len(others) < 2:
            weight = dict.fromkeys(range(n), 1)
        elif knobs["base"]:
            weight = sample(knobs, e, sure, others, uniforms) | dict.fromkeys(sure, 1)
        else:
            weight = dict.fromkeys(sure, 1)
        total = sum(w * e[i] for i, w in weight.items())
        return sum((w * e[i] * head.v[i] for i, w in weight.items()), np.zeros(head.v.shape[1])) / (total or math.inf)

    def attend(head, n):
        at = place.layer, place.kv_head, n - head.p
        uniforms = [[drawn(knobs["seed"], *at, which, j) for j in range(n)] for which in (0, 1)]
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        return np.stack([one_head(head, n, own, uniforms) for own in logits])

    return attend
