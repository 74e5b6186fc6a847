"""Random k keeps the newest token and those to which a hash of seed, layer, step, KV head and age gives most."""

import math

import numpy as np
from hypothesis import strategies as st

from definitions import best

KNOBS = {"k": 6}
SETTINGS = st.fixed_dictionaries({"k": st.integers(1, 20), "seed": st.integers(0, 99)})


def mixed(x):
    """Bits of an integer well mixed, 0 .. 2^31 - 1."""
    for factor in (0x45D9F3B, 0x119DE1F3):
        x = ((x ^ (x >> 16)) * factor) % 2**31
    return x ^ (x >> 16)


def definition(knobs, place):
    stream = knobs.get("seed", 0) * 7919 + place.layer

    def attend(head, n):
        draw = mixed(place.kv_head + mixed(stream * 104_729 + n - head.p))
        luck = [float(np.float32(mixed(age + draw))) if age else math.inf for age in reversed(range(n))]
        return head.over(best(luck, knobs["k"]), n)[0]

    return attend
