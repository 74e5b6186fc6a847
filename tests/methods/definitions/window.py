"""A window: the last tokens."""

from hypothesis import strategies as st

from definitions import lm_infinite

KNOBS = {"k": 7}
SETTINGS = st.fixed_dictionaries({"k": st.integers(1, 20)})


def definition(knobs, place):
    return lm_infinite.definition({"initial": 0, **knobs}, place)
