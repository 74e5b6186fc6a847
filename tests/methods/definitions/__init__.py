"""The methods as their papers define them, written out slowly: loops over rows, KV heads and tokens (numpy, float64).

One file for each method, found by its name. It holds

    KNOBS            a small budget, with which the method is held to every law
    VARIANTS         further settings for the laws, if switches change what the method does
    FULL             knobs that let it drop nothing, if those are not r=8 and k=100; or a function of the other knobs
    PREFILL          settings that give it a prefill of its own, if KNOBS do not
    SETTINGS         a hypothesis strategy of knobs, with which the method is compared with `definition`; both may be
                     left out where the authors' own numbers are a test (tests/methods/golden/test_NAME.py)
    SOLVED           knobs that are given where a ratio is solved on the small shapes of a test
    RATIOS           ratios from 3 to 4 that it reaches, where no knob brings it to a rounder one
    larger(knobs)    the knobs that a ratio may be solved for, each one step larger, if those are not r + 1 and k + 1
    LAYERS           numbers of the layers in which the laws hold it, if not 0 and 3
    BELOW            the layer from which on layers have to run in order, if they share something
    calibration(method, case)
                     what the method is to learn beforehand, if it needs that
    weights(method, case)
                     Projections of some layers, if it needs weights
    definition(knobs, place)
                     the method of one KV head of one row: a function of a Head and n, called for each decode step in
                     order, that returns the output [G, D] when n live tokens are cached, the newest included
"""

import importlib
import math
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

BUDGETS = st.integers(2, 20)
"""Values of k."""
RECENT = st.integers(0, 5)
"""Values of local."""


@dataclass(frozen=True)
class Place:
    """Where a definition stands: the number of the layer and of the KV head, the state that the method started with."""

    layer: int
    kv_head: int
    state: Any


class Head:
    """One KV head of one row, live tokens only: q [G, n, D], k and v [n, D], of which p are the prompt.

    `row` lists all KV heads of its row.
    """

    def __init__(self, q, k, v, p, scores):
        self.q, self.k, self.v, self.p, self.scores = q, k, v, p, scores
        self.row = [self]

    def logits(self, q, k):
        """Of queries [G, D'] against keys [n, D'], at the architecture's scale and below its cap."""
        return self.capped(self.scores.scale * np.array([[float(np.dot(qi, kj)) for kj in k] for qi in q]))

    def capped(self, raw):
        """Below the architecture's cap, if it has one."""
        return raw if self.scores.cap is None else self.scores.cap * np.tanh(raw / self.scores.cap)

    def outputs(self, method):
        """[G, T, D]: method(self, n) in order."""
        return np.stack([method(self, n) for n in range(self.p + 1, self.k.shape[0] + 1)], 1)

    def over(self, kept, n):
        """Exact attention of the newest of n tokens over the kept ones: output, weights, kept in order."""
        kept = sorted(kept)
        weights = softmax(self.logits(self.q[:, n - 1], self.k[kept]))
        return weights @ self.v[kept], weights, kept


def softmax(x):
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def best(score, count):
    """Indices of the highest scores; ties to the newest."""
    return sorted(range(len(score)), key=lambda i: (score[i], i), reverse=True)[:count]


def keep_best(head, n, logits, k, local, reallocate):
    """SparQ's steps 3 to 5: the best k besides the newest by logits [G, n], and the mean of V for what was dropped."""
    total = logits.sum(0)
    kept = best([math.inf if n - 1 - i <= local else total[i] for i in range(n)], k + 1)
    output, _, _ = head.over(kept, n)
    if not reallocate:
        return output
    alpha = softmax(logits)[:, kept].sum(-1, keepdims=True)
    return alpha * output + (1 - alpha) * head.v[:n].mean(0)


def by_definition(case, scores, make):
    """[B, Hq, T, D]: make(kv_head) gives the method of one KV head of a row."""
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
        for head in heads:
            head.row = heads
        rows.append(np.concatenate([head.outputs(make(i)) for i, head in enumerate(heads)]))
    return torch.from_numpy(np.stack(rows))


@cache
def defined():
    """Module of each file beside this one, by the name of its method."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"definitions.{name}") for name in names}
