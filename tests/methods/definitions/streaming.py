"""StreamingLLM's cache, at absolute positions: the first four tokens and the last."""

from hypothesis import strategies as st

from definitions import lm_infinite

KNOBS = {"k": 7}
SETTINGS = st.fixed_dictionaries({"k": st.integers(5, 20)})


def definition(knobs, place):
    return lm_infinite.definition({"initial": 4, **knobs}, place)
