"""LM-Infinite keeps the first tokens and the last."""

from hypothesis import strategies as st

KNOBS = {"k": 7, "initial": 3}
PREFILL = [{**KNOBS, "mask_prefill": True}]
SETTINGS = st.builds(
    lambda more, initial: {"k": initial + more, "initial": initial}, st.integers(1, 20), st.integers(0, 6)
)


def definition(knobs, _place):
    k, initial = knobs["k"], knobs["initial"]
    return lambda head, n: head.over({*range(min(initial, n)), *range(max(0, n - (k - initial)), n)}, n)[0]
