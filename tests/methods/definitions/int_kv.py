"""Integers of few bits between the least and the greatest of a token, or of a channel of the prompt's keys."""

import numpy as np
from hypothesis import strategies as st

from definitions import softmax

KNOBS = {"bits": 2}
VARIANTS = [{"bits": 4, "by": "channel"}]
SETTINGS = st.fixed_dictionaries({"bits": st.sampled_from([2, 4, 8]), "by": st.sampled_from(["token", "channel"])})


def larger(knobs):
    """Twice the bits; beyond eight there is nothing but the model's own."""
    return {"bits": 2 * knobs["bits"]} if knobs["bits"] < 8 else {}


def rounded(x, low, high, bits):
    """Each number as the nearest of 2^bits from low to high."""
    step = (high - low) / (2**bits - 1)
    if step == 0:
        return np.full_like(x, low)
    return low + step * np.clip([round(value) for value in (x - low) / step], 0, 2**bits - 1)


def by_token(x, bits):
    """Tokens [n, D], each between its own ends."""
    return np.stack([rounded(token, token.min(), token.max(), bits) for token in x])


def definition(knobs, _place):
    bits = knobs["bits"]

    def keys(head, n):
        if knobs["by"] == "token":
            return by_token(head.k[:n], bits)
        prompt = head.k[: head.p].T
        channels = zip(head.k[:n].T, prompt, strict=True)
        return np.stack([rounded(all_of, seen.min(), seen.max(), bits) for all_of, seen in channels], 1)

    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], keys(head, n)))
        return weights @ by_token(head.v[:n], bits)

    return attend
