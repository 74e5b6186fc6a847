"""HiP finds blocks of keys by halving pieces of the past and keeping the best halves."""

from itertools import pairwise

from hypothesis import strategies as st

KNOBS = {"k": 4, "block": 2, "sinks": 1, "window": 2, "dense_layers": 0}
VARIANTS = [{"k": 3, "block": 1, "sinks": 0, "window": 1, "sample": "first", "dense_layers": 0}]
SETTINGS = st.fixed_dictionaries(
    {
        "k": st.integers(1, 12),
        "block": st.integers(1, 3),
        "sinks": st.integers(0, 3),
        "window": st.integers(1, 4),
        "sample": st.sampled_from(["center", "first"]),
        "refresh": st.integers(1, 3),
    }
)


def chosen(head, n, knobs):
    """Tokens of the blocks that survive."""
    block, q = knobs["block"], head.q[:, n - 1]
    count = max(0, (n - knobs["sinks"] - knobs["window"]) // block)
    pieces = max(1, knobs["k"] // block)

    def tokens(number):
        return [knobs["sinks"] + number * block + i for i in range(block)]

    def score(piece):
        start, size = piece
        shown = start + size // 2 if knobs.get("sample") != "first" else start
        return max(float(q[g] @ head.k[token]) for g in range(len(q)) for token in tokens(shown))

    if count <= pieces:
        alive = [(number, 1) for number in range(count)]
    else:
        edges = [count * j // pieces for j in range(pieces + 1)]
        alive = [(a, b - a) for a, b in pairwise(edges)]
    while any(size > 1 for _, size in alive):
        halves = []
        for start, size in alive:
            half = size // 2
            halves += [(start, half), (start + half, size - half)] if half else [(start, size)]
        alive = sorted(halves, key=lambda piece: (score(piece), piece[0]))[-pieces:]
    return {token for number, _ in alive for token in tokens(number)}


def definition(knobs, _place):
    held = {}

    def attend(head, n):
        if (n - head.p - 1) % knobs.get("refresh", 1) == 0:
            held["tokens"] = chosen(head, n, knobs)
        end = knobs["sinks"] + max(0, (n - knobs["sinks"] - knobs["window"]) // knobs["block"]) * knobs["block"]
        return head.over({*range(min(knobs["sinks"], n)), *held["tokens"], *range(end, n)}, n)[0]

    return attend
