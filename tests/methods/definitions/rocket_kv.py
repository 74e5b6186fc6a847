"""RocketKV lets the prompt's end vote for what stays, then reads the tokens of the chunks with the highest bounds."""

import math

import numpy as np
from hypothesis import strategies as st

from definitions import best, softmax

KNOBS = {"token_budget": 8, "window": 3, "kernel": 3}
VARIANTS = [
    {"token_budget": None, "window": 2, "kernel": 5, "prompt_budget": 11, "k": 5, "ratio": 4.0},
    {"token_budget": 9, "window": 1, "kernel": 1, "new_tokens": 4, "split": 0.5, "ratio": 2.5},
]
FULL = {"token_budget": 1000, "prompt_budget": None, "k": None, "ratio": None}
SOLVED = {"window": 3}
SETTINGS = st.one_of(
    st.builds(
        lambda budget, window, kernel, new, split: {
            "token_budget": budget,
            "window": min(window, max(budget - new, new) - 1),
            "kernel": kernel,
            "new_tokens": new,
            "split": split,
        },
        st.integers(2, 24),
        st.integers(1, 4),
        st.sampled_from([1, 3, 5]),
        st.sampled_from([0, 5]),
        st.sampled_from([None, 0.3, 0.7]),
    ).filter(lambda knobs: knobs["window"] > 0),
    st.builds(
        lambda window, left, k, ratio: {
            "token_budget": None,
            "window": window,
            "kernel": 3,
            "prompt_budget": window + left,
            "k": k,
            "ratio": ratio,
        },
        st.integers(1, 4),
        st.integers(1, 12),
        st.integers(1, 12),
        st.sampled_from([1.0, 1.5, 2.0, 3.7, 9.0]),
    ),
)


def larger(knobs):
    return {"token_budget": knobs["token_budget"] + 1}


def budgets(knobs, prompt):
    """Tokens that the first stage leaves, tokens that the second takes, its ratio."""
    b, new = knobs["token_budget"], knobs.get("new_tokens", 0)
    if b is None:
        return knobs["prompt_budget"], knobs["k"], knobs["ratio"]
    s = prompt + new
    c = max(1, s / b)
    split = knobs.get("split") or min(0.2 + 0.06 * math.log2(c), 0.8)
    capacity = max(int(s / c**split), min(2 * new, s))
    return capacity - new, b // 2, knobs.get("ratio") or max(1, capacity / b)


def left_by_the_prompt(head, knobs, count):
    """Tokens of the prompt that stay, oldest first."""
    p, window, reach = head.p, knobs["window"], knobs["kernel"] // 2
    if p <= count:
        return list(range(p))
    votes = np.zeros(p)
    for i in range(p - window, p):
        votes[: i + 1] += softmax(head.logits(head.q[:, i], head.k[: i + 1])).sum(0)
    older = votes[: p - window]
    smooth = [max(older[max(0, i - reach) : i + reach + 1]) for i in range(p - window)]
    return sorted([*best(np.float32(smooth), count - window), *range(p - window, p)])


def chosen(head, n, cached, k, ratio):
    """Those of the cached tokens that a step attends to."""
    q, d = head.q[:, n - 1], head.k.shape[1]
    chunk = math.ceil(math.sqrt(ratio))
    chunk = chunk if chunk <= ratio else 1
    r = max(1, int(d * chunk / ratio))
    sign = np.where(q.sum(0) > 0, 1, -1)
    channels = np.argsort(-np.abs(q).mean(0))[:r]
    shares = np.abs(q[:, channels]).sum(1) / np.abs(q).sum(1)
    logits = np.zeros((len(q), len(cached)))
    for begin in range(0, len(cached), chunk):
        bound = (head.k[cached[begin : begin + chunk]] * sign).max(0)
        raw = (q * sign)[:, channels] @ bound[channels]
        logits[:, begin : begin + chunk] = head.capped(head.scores.scale * raw / np.sqrt(shares))[:, None]
    # a chunk's tokens tie exactly, whatever the last bits of their sum say
    return [cached[i] for i in best(np.float32(softmax(logits).mean(0)), k)]


def definition(knobs, _place):
    held = {}

    def attend(head, n):
        count, k, ratio = budgets(knobs, head.p)
        if not held:
            held["cached"] = left_by_the_prompt(head, knobs, count)
        held["cached"].append(n - 1)
        return head.over(chosen(head, n, held["cached"], k, ratio), n)[0]

    return attend
