"""Reckons how many tokens of a batch fit into a device's memory, from shapes, rounded up where the engine varies.

No torch here. What turns out too much is halved by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from harness.forecast.transformer import Transformer

SHARE = 0.9
"""Of the free memory. The rest is for fragments and for what this arithmetic does not know."""
FLOAT32 = 4
HIDDEN_COPIES, INNER_COPIES, WEIGHT_COPIES, LOGIT_COPIES = 8, 3, 3, 3
"""Tensors alive at once in a pass: of hidden width, of feed-forward width, of attention weights, of logits."""
STATISTICS = 2
"""Float32 numbers per token and KV head that methods observe of a prefill: weight received, time of last use."""
GATHERED = 2
"""Copies that a method makes of one layer's K and V while it attends."""

SPREAD = 16


class Example(NamedTuple):
    """Counts the tokens of one example: those of its prompt, and those that it decodes if it does not end early."""

    prompt: int
    decoded: int


@dataclass(frozen=True)
class Demand:
    """Describes what is asked of memory beside the model, whatever cells there are.

    Per token that a batch is counted to have, `columns` of KV cache are allocated, `rows` decode side by side and the
    cells' states take `states` bytes. A prefill pass has `prefill` tokens and holds the attention weights of `block`
    queries at once; a pass over given texts makes `logit_bytes` of float32 logits.
    """

    columns: float
    rows: float
    prefill: int
    block: int
    logit_bytes: int
    states: float = 0.0

    @classmethod
    def of(cls, examples: Sequence[Example], prefill: int, block: int, logit_bytes: int, states: float = 0.0) -> Self:
        """Find the most that any example asks per token: columns of cache bind with one cell, rows with many."""
        sizes = [(one.prompt, max(1, one.decoded)) for one in examples]
        columns = max((prompt + 2 * steps) / (prompt + steps) for prompt, steps in sizes)
        longest = max(prompt for prompt, _ in sizes)
        return cls(columns, max(1 / steps for _, steps in sizes), max(prefill, longest), block, logit_bytes, states)


def most_per_token(examples: Sequence[Example], cells: int, taken: Callable[[Example], float]) -> float:
    """Find the most that any example takes per token that a batch counts for it: its prompt and each cell's decoded.

    Of many examples those at SPREAD places between the shortest and the longest tell.
    """
    sizes = sorted(set(examples))
    places = sorted({round(i * (len(sizes) - 1) / SPREAD) for i in range(SPREAD + 1)})
    return max(taken(one) / (one.prompt + cells * max(1, one.decoded)) for one in (sizes[place] for place in places))


def fitting_tokens(free: float, model: Transformer, demand: Demand) -> int:
    """Return how many tokens of a batch, prompts and all cells' decoded ones, fit into `free` bytes.

    (SHARE x free - what a prefill pass and a scoring pass take) / bytes per token. At least 1, however little is free:
    a batch holds one example whatever the number, and that is tried.
    """
    fixed = demand.prefill * _prefill_bytes(model, demand.block) + LOGIT_COPIES * demand.logit_bytes
    per_token = demand.columns * _column_bytes(model) + demand.rows * row_bytes(model) + demand.states
    return max(1, int((SHARE * free - fixed) / per_token))


def _column_bytes(model: Transformer) -> int:
    """Count the bytes of a column of KV cache: K, V and statistics of all layers, and what attending to one makes."""
    statistics = sum(layer.kv_heads * STATISTICS * FLOAT32 for layer in model.layers)
    gathered = max(GATHERED * 2 * layer.kv_heads * layer.head_dim * model.element for layer in model.layers)
    weights = WEIGHT_COPIES * model.heads * max(FLOAT32, model.element)
    return model.cached_bytes + statistics + gathered + weights


def row_bytes(model: Transformer) -> int:
    """Count the bytes of a row in a decode step: through a layer; logits as they are, in float32, as likelihoods."""
    return _layer_bytes(model) + model.vocabulary * (model.element + 2 * FLOAT32)


def _prefill_bytes(model: Transformer, block: int) -> int:
    """Count the bytes of a token in a prefill pass: through a layer, and its weights from a block of queries."""
    return _layer_bytes(model) + WEIGHT_COPIES * model.heads * block * max(FLOAT32, model.element)


def _layer_bytes(model: Transformer) -> int:
    """Count the bytes that a token takes on its way through a layer."""
    return (HIDDEN_COPIES * model.hidden + INNER_COPIES * model.inner) * model.element
