"""Floats of 4 bits in blocks of 16 channels, whose scales are floats of 8 bits times one of the row's prompt."""

import numpy as np
from hypothesis import strategies as st

from definitions import softmax
from definitions.fp8 import e4m3, most, nearest

KNOBS = {}
SETTINGS = st.just({})
RATIOS = [3.5]

E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def block(x, outer):
    """Numbers of a block as they are read back."""
    scale = e4m3(np.array([np.abs(x).max() / 6 / outer]))[0] * outer
    return np.array([nearest(value / scale, E2M1) * scale if scale else 0.0 for value in x])


def definition(_knobs, _place):
    def read(head, name, n):
        outer = most(head, name) / (6 * 448)
        tokens = getattr(head, name)[:n]
        return np.stack([np.concatenate([block(x[i : i + 16], outer) for i in range(0, len(x), 16)]) for x in tokens])

    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], read(head, "k", n)))
        return weights @ read(head, "v", n)

    return attend
