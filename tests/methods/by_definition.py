"""The methods as their papers define them: loops over rows, KV heads and tokens (numpy, float64)."""

import math

import numpy as np
import torch


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Head:
    """One KV head of one row, live tokens only: q [G, n, D], k and v [n, D], of which p are the prompt."""

    def __init__(self, q, k, v, p, scores):
        self.q, self.k, self.v, self.p, self.scores = q, k, v, p, scores

    def logits(self, q, k):
        raw = self.scores.scale * np.array([[float(np.dot(qi, kj)) for kj in k] for qi in q])
        return raw if self.scores.cap is None else self.scores.cap * np.tanh(raw / self.scores.cap)

    def outputs(self, method):
        """[G, T, D]: method(self, n) is the output [G, D] when n tokens are cached, called in order."""
        return np.stack([method(self, n) for n in range(self.p + 1, self.k.shape[0] + 1)], 1)

    def over(self, kept, n):
        """Exact attention of the newest of n tokens over the kept ones."""
        kept = sorted(kept)
        weights = softmax(self.logits(self.q[:, n - 1], self.k[kept]))
        return weights @ self.v[kept], weights, kept


def best(score, count):
    """Indices of the highest scores; ties to the newest."""
    return sorted(range(len(score)), key=lambda i: (score[i], i), reverse=True)[:count]


def finish(head, n, logits, k, local, reallocate):
    """SparQ's steps 3 to 5."""
    total = logits.sum(0)
    kept = best([math.inf if n - 1 - i <= local else total[i] for i in range(n)], k + 1)
    output, _, _ = head.over(kept, n)
    if not reallocate:
        return output
    alpha = softmax(logits)[:, kept].sum(-1, keepdims=True)
    return alpha * output + (1 - alpha) * head.v[:n].mean(0)


def sparq(r, k, local, reallocate):
    def attend(head, n):
        q = head.q[:, n - 1]
        channels = best(np.abs(q).sum(0), r)
        share = np.abs(q[:, channels]).sum(-1) / np.abs(q).sum(-1)
        d = q.shape[-1]
        temperature = np.sqrt(d * share)
        logits = np.stack([head.k[:n][:, channels] @ q[g, channels] / temperature[g] for g in range(len(q))])
        return finish(head, n, logits * head.scores.scale * math.sqrt(d), k, local, reallocate)

    return attend


def low_rank(basis, k, local, reallocate):
    def attend(head, n):
        logits = head.logits(head.q[:, n - 1] @ basis, head.k[:n] @ basis)
        return finish(head, n, logits, k, local, reallocate)

    return attend


def flexgen(k, reallocate, before_softmax):
    def attend(head, n):
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        weights = softmax(logits)
        kept = best(weights.sum(0), k)
        dropped = [i for i in range(n) if i not in kept]
        if before_softmax:
            return head.over(kept, n)[0]
        output = weights[:, kept] @ head.v[kept]
        if reallocate and dropped:
            output = output + weights[:, dropped].sum(-1, keepdims=True) * head.v[dropped].mean(0)
        return output

    return attend


def lm_infinite(k, initial):
    def attend(head, n):
        return head.over({*range(min(initial, n)), *range(max(0, n - (k - initial)), n)}, n)[0]

    return attend


def oracle(k):
    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], head.k[:n]))
        return head.over(best(weights.sum(0), k), n)[0]

    return attend


class Eviction:
    """H2O, or LRU with ties to the newest."""

    def __init__(self, k, local, lru):
        self.k, self.local, self.lru = k, local, lru
        self.score = {}

    def see(self, weights, tokens, time):
        mean = weights.mean(0)
        looked_at = sum(w > 1e-9 for w in mean)
        for weight, token in zip(mean, tokens, strict=True):
            if not self.lru:
                self.score[token] += weight
            elif weight >= 1 / looked_at:
                self.score[token] = time

    def __call__(self, head, n):
        if not self.score:
            self.score = dict.fromkeys(range(head.p), 0.0)
            for i in range(head.p):
                weights = softmax(head.logits(head.q[:, i], head.k[: i + 1]))
                self.see(weights, range(i + 1), i + 1)
        self.score[n - 1] = 0.0
        tokens = sorted(self.score)
        kept = best([math.inf if n - 1 - i <= self.local else self.score[i] for i in tokens], self.k + 1)
        self.score = {tokens[i]: self.score[tokens[i]] for i in kept}
        output, weights, kept = head.over(self.score, n)
        self.see(weights, kept, n)
        return output


def by_definition(case, scores, make):
    """[B, Hq, T, D]: make(row, head) gives the method for one KV head of one row."""
    q, k, v, mask, p = (x.numpy() if isinstance(x, torch.Tensor) else x for x in case)
    h, g = k.shape[1], q.shape[1] // k.shape[1]
    rows = []
    for row in range(len(q)):
        live = mask[row]
        start = p - int((~live).sum())
        heads = [
            Head(q[row, i * g : (i + 1) * g][:, live], k[row, i][live], v[row, i][live], start, scores)
            for i in range(h)
        ]
        rows.append(np.concatenate([head.outputs(make(row, i)) for i, head in enumerate(heads)]))
    return torch.from_numpy(np.stack(rows))
