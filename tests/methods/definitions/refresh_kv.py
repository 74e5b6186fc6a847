"""RefreshKV attends to a small set of tokens, which every `stride`-th step, a full one, chooses anew."""

from hypothesis import strategies as st

from definitions import best, softmax

KNOBS = {"k": 6, "stride": 3, "pool": 3}
VARIANTS = [{"k": 5, "stride": 0, "qc_stride": 1, "threshold": 0.1, "pool": 1}]
SETTINGS = st.fixed_dictionaries(
    {"k": st.integers(1, 20), "stride": st.integers(0, 4), "pool": st.sampled_from([1, 3, 5])}
)


def chosen(head, n, query, knobs):
    """The k tokens that a query gives most to, or whose neighbours get most."""
    mean = softmax(head.logits(query, head.k[:n])).mean(0)
    reach = knobs["pool"] // 2
    return best([max(mean[max(0, i - reach) : i + reach + 1]) for i in range(n)], knobs["k"])


def definition(knobs, _place):
    held = {}

    def attend(head, n):
        query, passed = head.q[:, n - 1], n - head.p
        if passed == 1:
            held["tokens"] = chosen(head, head.p, head.q[:, head.p - 1], knobs)
        held["tokens"].append(n - 1)
        if knobs["stride"] == 0 or passed % knobs["stride"]:
            return head.over(held["tokens"], n)[0]
        held["tokens"] = chosen(head, n, query, knobs)
        return head.over(range(n), n)[0]

    return attend
