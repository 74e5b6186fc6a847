"""Floats of 8 bits: 1 of sign, 4 of exponent with bias 7, 3 of mantissa, written out as a list of all numbers."""

import bisect

import numpy as np
from hypothesis import strategies as st

from definitions import softmax

KNOBS = {}
VARIANTS = [{"scale": "prompt"}]
SETTINGS = st.fixed_dictionaries({"scale": st.sampled_from(["one", "prompt"])})

E4M3 = [m / 8 * 2**-6 for m in range(8)] + [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)][:-1]
"""All that are not negative, in order: those without a leading one, then the others but the last, which is no number.

A number's place in the list is its code, so of two neighbours the one with an even mantissa is at an even place.
"""


def nearest(x, numbers):
    """The nearest of ordered numbers, of two as near the one at an even place; the last for what is beyond."""
    size = abs(x)
    above = min(bisect.bisect_left(numbers, size), len(numbers) - 1)
    below = max(above - 1, 0)
    to_below, to_above = size - numbers[below], numbers[above] - size
    place = min((to_above, above % 2, above), (to_below, below % 2, below))[2] if to_above > 0 else above
    return np.copysign(numbers[place], x)


def e4m3(x):
    return np.array([nearest(value, E4M3) for value in x.flat]).reshape(x.shape)


def most(head, name):
    """The largest magnitude of K or V of a row's prompt, in all KV heads."""
    return max(np.abs(getattr(one, name)[: one.p]).max() for one in head.row)


def definition(knobs, _place):
    def read(head, name, n):
        scale = most(head, name) / 448 if knobs["scale"] == "prompt" else 1.0
        return e4m3(getattr(head, name)[:n] / scale) * scale

    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], read(head, "k", n)))
        return weights @ read(head, "v", n)

    return attend
