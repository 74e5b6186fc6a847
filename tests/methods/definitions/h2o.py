"""H2O evicts for good what received least attention, from all queries of the prompt and of the steps it was kept."""

import math

from hypothesis import strategies as st

from definitions import BUDGETS, RECENT, best, softmax
from definitions.streaming_llm import in_the_cache

KNOBS = {"k": 6, "local": 2}
VARIANTS = [{"k": 6, "local": "half"}, {**KNOBS, "positions": "cache"}]
SETTINGS = st.builds(
    lambda k, local, positions: {"k": k, "local": local if local == "half" else min(local, k), "positions": positions},
    BUDGETS,
    RECENT | st.just("half"),
    st.sampled_from(["absolute", "cache"]),
)


class Eviction:
    """Scores of the tokens that are left, to which `see` adds the weights of one more query."""

    def __init__(self, k, local, positions="absolute"):
        self.k, self.local, self.score = k, k // 2 if local == "half" else local, {}
        self.in_cache = positions == "cache"

    def see(self, mean, tokens, time):
        """Group-mean weights of the query number `time` over some tokens."""
        for weight, token in zip(mean, tokens, strict=True):
            self.score[token] += weight

    def __call__(self, head, n):
        if not self.score:
            self.score = dict.fromkeys(range(head.p), 0.0)
            for i in range(head.p):
                weights = softmax(head.logits(head.q[:, i], head.k[: i + 1]))
                self.see(weights.mean(0), range(i + 1), i + 1)
        self.score[n - 1] = 0.0
        tokens = sorted(self.score)
        kept = best([math.inf if n - 1 - i <= self.local else self.score[i] for i in tokens], self.k + 1)
        self.score = {tokens[i]: self.score[tokens[i]] for i in kept}
        output, weights, kept = in_the_cache(head, self.score, n) if self.in_cache else head.over(self.score, n)
        self.see(weights.mean(0), kept, n)
        return output


def definition(knobs, _place):
    return Eviction(**knobs)
