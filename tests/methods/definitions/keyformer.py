"""Keyformer keeps the newest tokens and those that received most of noisy softmaxes, once and for all or anew."""

import torch
from hypothesis import strategies as st

from definitions import BUDGETS, best, softmax
from harness.attention import gumbel

KNOBS = {"k": 8, "local": 3, "max_new_tokens": 4}
VARIANTS = [
    {"k": 7, "local": 2, "rechoose": True, "max_new_tokens": 4},
    {"k": 6, "local": 0.5, "noise": False, "rechoose": True},
    {"k": 5, "local": 5, "seed": 3},
]
SETTINGS = st.builds(
    lambda k, local, **more: {"k": k, "local": min(local, k), **more},
    BUDGETS,
    st.integers(1, 6),
    tau_init=st.sampled_from([1.0, 0.7]),
    max_new_tokens=st.integers(1, 6),
    noise=st.booleans(),
    rechoose=st.booleans(),
    seed=st.integers(0, 3),
)


class Keyformer:
    """The scores of all tokens, and those that are cached: key tokens, or None before they are chosen."""

    def __init__(self, place, k, local, max_new_tokens, tau_init=1.0, noise=True, rechoose=False, seed=0):
        self.place, self.k, self.local, self.rechoose = place, k, local, rechoose
        self.tau, self.noise, self.seed = (tau_init, (2 - tau_init) / max_new_tokens), noise, seed
        self.score, self.keys = {}, None

    def see(self, head, i, tokens, step):
        """Add what the query i gives to some tokens, in the step of this number; 0 is the prompt."""
        logits = head.logits(head.q[:, i], head.k[tokens])
        if self.noise:
            noise = gumbel(self.seed, self.place.layer, self.place.kv_head, i, torch.tensor(tokens))
            logits = logits + noise.numpy()
        given = softmax(logits / (self.tau[0] + step * self.tau[1])).mean(0)
        for token, weight in zip(tokens, given, strict=True):
            self.score[token] = self.score.get(token, 0) + weight

    def choose(self, candidates):
        found = best([self.score[token] for token in candidates], self.k - self.local)
        self.keys = [candidates[i] for i in found]

    def __call__(self, head, n):
        if not self.score:
            for i in range(head.p):
                self.see(head, i, list(range(i + 1)), 0)
            if head.p > self.k:
                self.choose(list(range(head.p - self.local)))
        window = range(max(0, n - self.local), n)
        tokens = list(range(n)) if self.keys is None else sorted({*self.keys, *window})
        output = head.over(tokens, n)[0]
        if self.rechoose or self.keys is None:
            self.see(head, n - 1, tokens, n - head.p)
        if self.keys is None and n > self.k:
            self.choose(list(range(n - self.local)))
        elif self.keys is not None and self.rechoose:
            self.choose([token for token in tokens if token <= n - self.local])
        return output


def definition(knobs, place):
    return Keyformer(place, **knobs)
