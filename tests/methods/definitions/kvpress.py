"""What a press leaves is attended to, with every newer token; a stand-in for the package keeps keys of small norm.

The package itself is asked in tests/hf/test_presses.py, where it is installed.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from definitions import softmax
from harness.attention.compressor import Compressed

KNOBS = {"press": "KnormPress", "ratio": 0.6}
VARIANTS = [{"press": "AdaKVPress/KnormPress", "ratio": 0.4}]
FULL = {"ratio": 0.0}
SETTINGS = st.fixed_dictionaries(
    {
        "press": st.sampled_from(["KnormPress", "AdaKVPress/KnormPress"]),
        "ratio": st.sampled_from([0.0, 0.3, 0.55, 0.9, 0.99]),
    }
)


def larger(knobs):
    return {"ratio": max(0.0, knobs["ratio"] - 0.1)}


def compress(method):
    """Keep the tokens of smallest keys; of a press that wraps another, as a mask with another number for each head."""

    def compressed(_inputs, k, v, _rope):
        norms = k.double().norm(dim=-1)
        if "/" in method.press:
            heads, tokens = norms.shape[1:]
            kept = torch.zeros_like(norms, dtype=torch.bool)
            for head in range(heads):
                kept[0, head, norms[0, head].argsort()[: count(method, tokens) - (head > 0 and method.ratio > 0)]] = (
                    True
                )
                kept[0, head, norms[0, head].argmin()] = True
            return Compressed(k.clone(), v.clone(), kept)
        index = norms.argsort(-1)[..., : count(method, k.shape[2]), None].expand(-1, -1, -1, k.shape[3])
        return Compressed(k.gather(2, index), v.gather(2, index))

    return compressed


def count(method, tokens):
    return max(1, int(tokens * (1 - method.ratio)))


def definition(knobs, place):
    less = place.kv_head > 0 and knobs["ratio"] > 0 and "/" in knobs["press"]

    def attend(head, n):
        order = sorted(range(head.p), key=lambda token: np.linalg.norm(head.k[token]))
        kept = order[: max(1, max(1, int(head.p * (1 - knobs["ratio"]))) - less)]
        columns = [*kept, *range(head.p, n)]
        return softmax(head.logits(head.q[:, n - 1], head.k[columns])) @ head.v[columns]

    return attend
