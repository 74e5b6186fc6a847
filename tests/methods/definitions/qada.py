"""QAdA attends to near tokens alone where a Gaussian guess of the far ones leaves them enough of the mass."""

import math

import numpy as np
from hypothesis import strategies as st

KNOBS = {"threshold": 0.3, "window": 6, "sinks": 1}
VARIANTS = [
    {"threshold": 0.3, "window": 6, "sinks": 0, "group": "none"},
    {"threshold": 0.3, "window": 6, "sinks": 1, "moments": "running"},
    {"threshold": 0.3, "window": 6, "sinks": 1, "criterion": "oracle", "group": "none"},
]
FULL = {"threshold": 1.5}
SETTINGS = st.fixed_dictionaries(
    {
        "threshold": st.floats(0, 1.1),
        "window": st.integers(1, 8),
        "sinks": st.integers(0, 4),
        "moments": st.sampled_from(["prompt", "running"]),
        "criterion": st.sampled_from(["gaussian", "oracle"]),
        "group": st.sampled_from(["any", "none"]),
    }
)


def log_sum(logits):
    return logits.max(-1) + np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1))


def definition(knobs, _place):
    sinks, window = knobs["sinks"], knobs["window"]

    def guess(head, n, far):
        q = head.q[:, n - 1] * head.scores.scale
        known = head.k[far] if knobs["moments"] == "running" else head.k[sinks : head.p - window]
        centred = known - known.mean(0)
        variance = np.array([np.mean((centred @ own) ** 2) for own in q])
        return math.log(len(far)) + q @ known.mean(0) + variance / 2

    def attend(head, n):
        far = list(range(sinks, n - window))
        near = [i for i in range(n) if i not in far]
        dense = head.over(range(n), n)[0]
        if not far or head.p <= sinks + window:
            return dense
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        a = log_sum(logits[:, near])
        z = log_sum(logits[:, far]) if knobs["criterion"] == "oracle" else guess(head, n, far)
        local = 1 / (1 + np.exp(z - a)) >= knobs["threshold"]
        if knobs["group"] == "any":
            local[:] = local.all()
        return np.where(local[:, None], head.over(near, n)[0], dense)

    return attend
