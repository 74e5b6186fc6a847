"""Strided attention keeps every n-th token, then the newest of the others until there are k."""

from hypothesis import strategies as st

KNOBS = {"k": 7}
SETTINGS = st.fixed_dictionaries({"k": st.integers(1, 20)})


def definition(knobs, _place):
    """Return what attends from one query head at n cached tokens, token by token."""

    def attend(head, n):
        stride = -(-n // knobs["k"])
        backwards = range(n - 1, -1, -1)
        pattern = list(backwards)[::stride]
        others = [token for token in backwards if token not in pattern]
        return head.over([*pattern, *others][: knobs["k"]], n)[0]

    return attend
