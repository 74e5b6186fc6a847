"""R-KV cuts the cache to what matters to the last queries and does not repeat what else is cached, in an order."""

import numpy as np
from hypothesis import strategies as st

from definitions import softmax

KNOBS = {"k": 6, "window": 2, "buffer": 2, "kernel": 3}
VARIANTS = [
    {"k": 7, "window": 2, "buffer": 3, "kernel": 1, "order": "score", "trigger": "count", "mix": 0.5},
    {"k": 7, "window": 4, "buffer": 1, "retain": "first", "compress_prompt": False},
]
DEFAULTS = {
    "mix": 0.1,
    "threshold": 0.5,
    "retain": "last",
    "order": "time",
    "trigger": "buffer",
    "compress_prompt": True,
}
SOLVED = {"buffer": 8, "window": 4}
SETTINGS = st.builds(
    lambda window, more, **others: {"k": window + more, "window": window, **others},
    st.integers(1, 5),
    st.integers(1, 9),
    buffer=st.integers(1, 4),
    mix=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    kernel=st.sampled_from([1, 3, 5]),
    threshold=st.sampled_from([-0.1, 0.3, 0.5]),
    retain=st.sampled_from(["last", "first"]),
    order=st.sampled_from(["time", "score"]),
    trigger=st.sampled_from(["buffer", "count"]),
    compress_prompt=st.booleans(),
)


class RKV:
    """The cached tokens in order."""

    def __init__(self, knobs):
        self.knobs, self.slots = {**DEFAULTS, **knobs}, None

    def __getattr__(self, knob):
        return self.knobs[knob]

    def redundancy(self, keys):
        n = len(keys)
        unit = keys / (np.linalg.norm(keys, axis=1, keepdims=True) + 1e-8)
        cosine = unit @ unit.T
        np.fill_diagonal(cosine, 0)
        for row in cosine:
            similar = [j for j in range(n) if row[j] > self.threshold]
            row[max(similar) if similar and self.retain == "last" else 0] = 0
        return softmax(cosine.mean(0))

    def importance(self, head, n, tokens):
        total = 0
        for i in range(n - self.window, n):
            total = total + softmax(head.logits(head.q[:, i], head.k[tokens]).max(0)) / self.window
        reach = self.kernel // 2
        return [max(total[max(0, j - reach) : j + reach + 1]) for j in range(len(tokens))]

    def cut(self, head, n):
        """Cut what is cached after the query n - 1."""
        old, last = self.slots[: -self.window], self.slots[-self.window :]
        repeated = self.redundancy(head.k[self.slots])
        important = self.importance(head, n, old)
        score = [self.mix * important[j] - (1 - self.mix) * repeated[j] for j in range(len(old))]
        best = sorted(range(len(old)), key=lambda j: (score[j], j), reverse=True)[: self.k - self.window]
        self.slots = [old[j] for j in (sorted(best) if self.order == "time" else best)] + last

    def __call__(self, head, n):
        if self.slots is None:
            self.slots = list(range(head.p))
            if self.compress_prompt and head.p >= self.k:
                self.cut(head, head.p)
        self.slots.append(n - 1)
        output = head.over(self.slots, n)[0]
        due = (n - 1) % self.buffer == 0 if self.trigger == "count" else len(self.slots) >= self.k + self.buffer
        if due and len(self.slots) >= self.k:
            self.cut(head, n)
        return output


def definition(knobs, _place):
    return RKV(knobs)
