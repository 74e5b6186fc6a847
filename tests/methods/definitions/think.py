"""ThinK drops channels of older keys; over SnapKV, of those that its votes have left."""

import numpy as np
from hypothesis import strategies as st

from definitions import best, softmax

KNOBS = {"pruning_ratio": 0.5, "recent_size": 4, "query_window": 5}
VARIANTS = [
    {"pruning_ratio": 0.7, "recent_size": 0, "query_window": 30, "per": "query_head"},
    {"pruning_ratio": 0.3, "recent_size": 2, "query_window": 3, "base": "snapkv", "k": 9, "vote_window": 3},
    {"recent_size": 4, "query_window": 3, "per": "query_head", "base": "snapkv", "k": 7, "vote_window": 2},
]
FULL = {"pruning_ratio": 0.0, "base": None, "k": None, "vote_window": None}
ALONE = {
    "pruning_ratio": st.sampled_from([0.0, 0.2, 0.5, 0.9]),
    "recent_size": st.integers(0, 12),
    "query_window": st.integers(1, 12),
    "per": st.sampled_from(["kv_head", "query_head"]),
}
OVER_SNAPKV = {**ALONE, "base": st.just("snapkv"), "k": st.integers(4, 20), "vote_window": st.integers(1, 3)}
SETTINGS = st.one_of(st.fixed_dictionaries(ALONE), st.fixed_dictionaries(OVER_SNAPKV))


def larger(knobs):
    """One more channel, where a share was solved to a millionth."""
    return {"pruning_ratio": max(0.0, knobs["pruning_ratio"] - 3e-6)}


def voted(head, heads, window, k):
    """Prompt tokens that SnapKV keeps by some query heads' votes: sums, their mean, the largest of 7 neighbours."""
    if head.p <= window:
        return list(range(head.p))
    votes = np.zeros(head.p)
    for i in range(head.p - window, head.p):
        votes[: i + 1] += softmax(head.logits(head.q[heads, i], head.k[: i + 1])).mean(0)
    earlier = votes[: head.p - window]
    pooled = [earlier[max(0, i - 3) : i + 4].max() for i in range(len(earlier))]
    return sorted([*best(pooled, k - window), *range(head.p - window, head.p)])


def definition(knobs, _place):
    def choices(head):
        """Query heads that choose together, the tokens and the channels that they keep."""
        groups = [[g] for g in range(len(head.q))] if knobs.get("per") == "query_head" else [list(range(len(head.q)))]
        for heads in groups:
            left = list(range(head.p))
            if knobs.get("base"):
                left = voted(head, heads, knobs["vote_window"], knobs["k"])
            score = (head.q[heads, max(0, head.p - knobs["query_window"]) : head.p] ** 2).mean((0, 1))
            score = score * (head.k[left] ** 2).mean(0)
            dropped = sorted(range(len(score)), key=lambda c: (score[c], c))[: int(len(score) * knobs["pruning_ratio"])]
            yield heads, left, dropped

    def attend(head, n):
        chosen = list(choices(head))
        together = sorted({i for _, left, _ in chosen for i in left})
        older = together[: max(0, len(together) - knobs["recent_size"])]
        output = np.zeros((len(head.q), head.v.shape[1]))
        for heads, left, dropped in chosen:
            k = head.k[:n].copy()
            k[np.ix_(older, dropped)] = 0
            seen = [*left, *range(head.p, n)]
            output[heads] = softmax(head.logits(head.q[heads, n - 1], k[seen])) @ head.v[seen]
        return output

    return attend
