"""Statistics of a prefill from the whole S x S attention matrix, query after query."""

import torch

from harness.attention.draws import gumbel, uniform
from harness.attention.statistics import (
    AttentionReceived,
    BelowEven,
    GumbelReceived,
    LargestWeight,
    LastPivotal,
    LastQueries,
    LastUsed,
    QueryKeyMagnitude,
    QuerySquare,
    ReceivedFromLast,
    ReceivedFromProbes,
    ReceivedWithin,
)

RECEIVED, LAST_USED = AttentionReceived(), LastUsed()
ALL = (
    RECEIVED,
    LAST_USED,
    *(ReceivedWithin(window) for window in (1, 4, 7)),
    *(LastQueries(count) for count in (1, 6, 30)),
    *(ReceivedFromLast(count) for count in (1, 6, 30)),
    *(ReceivedFromProbes(share, seed) for share in (0.3, 1.0) for seed in (0, 5)),
    *(QuerySquare(count) for count in (1, 6, 30)),
    QueryKeyMagnitude(),
    *(LargestWeight(k, before, last) for k in (0, 3) for before in (False, True) for last in (None, 1, 5)),
    *(LastPivotal(count) for count in (1, 4, 30, 0.1, 0.4)),
    *(BelowEven(window) for window in (1, 6, 30)),
    *(GumbelReceived(tau, seed) for tau in (1.0, 1.5) for seed in (None, 0, 3)),
)


def written_out(q, k, mask, scores, window_mask=None):
    """Every statistic from one query after another, whose whole rows of weights are at hand."""
    s = q.shape[3]
    seen = torch.ones(s, s, dtype=torch.bool).tril() if window_mask is None else window_mask[0, 0]
    found = {statistic: [] for statistic in ALL}
    for row in range(len(q)):
        live = [i for i in range(s) if mask[row, i]]
        rows = []  # of each live query: its place, what it looks at, logits and weights [H, G, looked at]
        for i in live:
            looked_at = [j for j in live if seen[i, j]]
            logits = torch.einsum("hgd,hkd->hgk", q[row, :, :, i], k[row][:, looked_at]) * scores.scale
            if scores.cap is not None:
                logits = scores.cap * (logits / scores.cap).tanh()
            rows.append((i, looked_at, logits, logits.softmax(-1)))
        for statistic in ALL:
            found[statistic].append(WRITTEN_OUT[type(statistic)](q[row], k[row], live, rows, **vars(statistic)))
    return {statistic: torch.stack(of_rows) for statistic, of_rows in found.items()}


def received(q, _k, _live, rows):
    total = q.new_zeros(q.shape[0], q.shape[2])
    for _, looked_at, _, weights in rows:
        total[:, looked_at] += weights.mean(1)
    return total


def last_used(q, _k, _live, rows):
    last = q.new_zeros(q.shape[0], q.shape[2])
    for time, (_, looked_at, _, weights) in enumerate(rows, 1):
        mean = weights.mean(1)
        enough = 1 / (mean > 1e-9).sum(-1, keepdim=True)
        for head in range(len(q)):
            for column, is_used in zip(looked_at, mean[head] >= enough[head], strict=True):
                if is_used:
                    last[head, column] = time
    return last


def received_within(q, _k, live, rows, window):
    total = q.new_zeros(q.shape[:3])
    for i, looked_at, _, weights in rows:
        for place, j in enumerate(looked_at):
            if live.index(i) - live.index(j) < window:
                total[:, :, j] += weights[:, :, place]
    return total


def last_queries(q, _k, live, _rows, count):
    queries = [q[:, :, i] for i in live[-count:]]
    return torch.stack([torch.zeros_like(q[:, :, 0])] * (count - len(queries)) + queries, 2)


def received_from_last(q, _k, _live, rows, count):
    total = q.new_zeros(q.shape[:3])
    for _, looked_at, _, weights in rows[-count:]:
        total[:, :, looked_at] += weights
    return total


def query_square(q, _k, live, _rows, count):
    return torch.stack([q[:, :, i] ** 2 for i in live[-count:]]).mean(0)


def query_key_magnitude(q, k, live, _rows):
    return torch.stack([(q[:, :, i] * k[:, None, i]).abs().sum(1) for i in live]).mean(0)


def largest_weight(q, _k, _live, rows, k, before_softmax, last):
    found = q.new_full(q.shape[:3], torch.nan)
    for i, looked_at, logits, weights in rows[-last:] if last else rows:
        if len(looked_at) > k:
            found[:, :, i] = (logits if before_softmax else weights).sort(-1, descending=True).values[..., k]
    return found


def last_pivotal(q, _k, live, rows, count):
    last = q.new_zeros(q.shape[0], q.shape[2])
    if isinstance(count, float):
        count = max(1, len(live) - int((1 - count) * len(live)) - 1)
    for time, (_, looked_at, _, weights) in enumerate(rows, 1):
        mean = weights.mean(1)
        for head in range(len(q)):
            next_below = sorted(mean[head].tolist(), reverse=True)[count] if count < len(looked_at) else 0
            for column, weight in zip(looked_at, mean[head].tolist(), strict=True):
                if weight > next_below:
                    last[head, column] = time
    return last


def below_even(q, _k, _live, rows, window):
    found = torch.zeros(q.shape[0], window, q.shape[2], dtype=torch.bool)
    for place, (_, looked_at, _, weights) in enumerate(rows[-window:], window - min(window, len(rows))):
        found[:, place, looked_at] = weights.mean(1) < 1 / len(looked_at)
    return found


def gumbel_received(q, _k, live, rows, tau, seed):
    total = q.new_zeros(q.shape[0], q.shape[2])
    for i, looked_at, logits, _ in rows:
        keys = torch.tensor([live.index(j) for j in looked_at])
        for head in range(len(q)):
            noise = 0 if seed is None else gumbel(seed, 0, head, live.index(i), keys)
            total[head, looked_at] += ((logits[head] + noise) / tau).softmax(-1).mean(0)
    return total


def received_from_probes(q, _k, live, rows, share, seed):
    """The last half of a share of the queries, and as many drawn with replacement of those before, by their number."""
    total, tokens = q.new_zeros(q.shape[0], q.shape[2]), len(live)
    earlier, drawn = int(tokens * (1 - share / 2)), int(tokens * (share / 2))
    chances = uniform(seed, 0, torch.arange(tokens)).tolist()
    for place in [*(int(chance * earlier) for chance in chances[:drawn]), *range(earlier, tokens)]:
        _, looked_at, _, weights = rows[place]
        total[:, looked_at] += weights.sum(1)
    return total


WRITTEN_OUT = {
    AttentionReceived: received,
    LastUsed: last_used,
    ReceivedWithin: received_within,
    LastQueries: last_queries,
    ReceivedFromLast: received_from_last,
    ReceivedFromProbes: received_from_probes,
    QuerySquare: query_square,
    QueryKeyMagnitude: query_key_magnitude,
    LargestWeight: largest_weight,
    LastPivotal: last_pivotal,
    BelowEven: below_even,
    GumbelReceived: gumbel_received,
}
