"""Scissorhands keeps what a recent query gave much, or drops what recent queries gave less than an even share."""

from hypothesis import strategies as st

from definitions import BUDGETS, RECENT, softmax

KNOBS = {"form": "budget", "k": 8, "window": 5, "recent": 2}
VARIANTS = [
    {"form": "released", "window": 3, "recent": 1, "pivotal": 3, "begin": 0},
    {"form": "released", "window": 4, "recent": 0, "pivotal": 0.2, "begin": 20},
]
WINDOWS = st.integers(1, 8)
SETTINGS = st.one_of(
    st.fixed_dictionaries({"form": st.just("budget"), "k": BUDGETS, "window": WINDOWS, "recent": RECENT}),
    st.fixed_dictionaries(
        {
            "form": st.just("released"),
            "window": WINDOWS,
            "recent": RECENT,
            "pivotal": st.one_of(st.integers(1, 5), st.sampled_from([0.1, 0.4])),
            "begin": st.integers(0, 20),
        }
    ),
)


def FULL(knobs):
    return {"k": 100} if knobs["form"] == "budget" else {"recent": 100}


def dense_row(head, i):
    """Group-mean weights of the query i over the tokens up to it."""
    return softmax(head.logits(head.q[:, i], head.k[: i + 1])).mean(0)


class Released:
    """What each query gave its tokens, and what it calls much."""

    def __init__(self, window, recent, pivotal, begin):
        self.window, self.recent, self.pivotal, self.begin, self.above = window, recent, pivotal, begin, {}

    def note(self, head, i, weights):
        """Note which tokens got more of the query i than all but the most of its dense row; weights by token."""
        count = self.pivotal
        if isinstance(count, float):
            count = max(1, head.p - int((1 - count) * head.p) - 1)
        dense = sorted(dense_row(head, i), reverse=True)
        threshold = dense[count] if count < len(dense) else 0
        self.above[i] = {token for token, weight in weights.items() if weight > threshold}

    def __call__(self, head, n):
        i = n - 1
        if not self.above:
            for query in range(head.p):
                self.note(head, query, dict(enumerate(dense_row(head, query))))
        history = [self.above[query] for query in range(max(0, i - self.window), i)]
        kept = [j for j in range(n) if j >= i - self.recent or i < self.begin or any(j in above for above in history)]
        output, weights, kept = head.over(kept, n)
        self.note(head, i, dict(zip(kept, weights.mean(0), strict=True)))
        return output


class Budgeted:
    """What is cached, and which tokens each query gave less than an even share."""

    def __init__(self, k, window, recent):
        self.k, self.window, self.recent, self.below, self.kept = k, window, recent, {}, None

    def note(self, i, tokens, weights):
        self.below[i] = {token for token, weight in zip(tokens, weights, strict=True) if weight < 1 / len(tokens)}

    def __call__(self, head, n):
        i = n - 1
        if self.kept is None:
            self.kept = list(range(head.p))
            for query in range(head.p):
                self.note(query, range(query + 1), dense_row(head, query))
        self.kept.append(i)
        if len(self.kept) > self.k:
            last = [self.below[query] for query in range(max(0, i - self.window), i)]
            counts = {j: 0 if j >= i - self.recent else sum(j in below for below in last) for j in self.kept}
            size = self.k + 1 - max(1, self.k // 2)
            self.kept = sorted(sorted(self.kept, key=lambda j: (counts[j], -j))[:size])
        output, weights, kept = head.over(self.kept, n)
        self.note(i, kept, weights.mean(0))
        return output


def definition(knobs, _place):
    own = {knob: value for knob, value in knobs.items() if knob != "form"}
    return Released(**own) if knobs["form"] == "released" else Budgeted(**own)
