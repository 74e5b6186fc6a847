"""FlexGen reads only the rows of V with the most weight, and loses what the others carried or spreads it."""

from hypothesis import strategies as st

from definitions import best, softmax

KNOBS = {"k": 5}
VARIANTS = [{"k": 5, "reallocate": True}, {"k": 5, "before_softmax": True}]
SETTINGS = st.builds(
    lambda k, switch: {"k": k, "reallocate": switch == 1, "before_softmax": switch == 2},
    st.integers(1, 20),
    st.integers(0, 2),
)


def definition(knobs, _place):
    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], head.k[:n]))
        kept = best(weights.sum(0), knobs["k"])
        dropped = [i for i in range(n) if i not in kept]
        if knobs["before_softmax"]:
            return head.over(kept, n)[0]
        output = weights[:, kept] @ head.v[kept]
        if knobs["reallocate"] and dropped:
            output = output + weights[:, dropped].sum(-1, keepdims=True) * head.v[dropped].mean(0)
        return output

    return attend
