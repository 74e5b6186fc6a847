"""Reckons how many tokens of a batch fit into a device's memory, from shapes, rounded up where the engine varies.

No torch here. What turns out too much is halved by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.forecast.transformer import Transformer

SHARE = 0.95
"""Of the free memory. The rest is for fragments and for what this arithmetic does not know."""
FLOAT32 = 4
HIDDEN_COPIES, WEIGHT_COPIES = 8, 3
"""Tensors alive at once around attention: of hidden width, of attention weights."""
PASSED_COPIES, INNER_COPIES = 5, 3
"""Tensors alive at once in a feed-forward layer: of hidden width, of its own width."""
LOGIT_COPIES = 3
STATISTICS = 2
"""Float32 numbers per token and KV head that methods observe of a prefill: weight received, time of last use."""
SCORES = 1
"""Float32 numbers per token and KV head that any method may hold, whatever it counts as its state."""
GATHERED = 3
"""Copies that a method without a kernel makes of one layer's K and V while it attends."""
SPREAD = 16


class Example(NamedTuple):
    """Counts the tokens of one example: those of its prompt, and those that it decodes if it does not end early."""

    prompt: int
    decoded: int

    @property
    def steps(self) -> int:
        """Count the decode steps for which there is room: one even if nothing is decoded."""
        return max(1, self.decoded)


@dataclass(frozen=True)
class Passes:
    """Says how passes are cut: a prefill has `prefill` tokens and holds the attention weights of `block` queries.

    A pass over given texts makes `logit_bytes` of float32 logits.
    """

    prefill: int
    block: int
    logit_bytes: int


@dataclass(frozen=True)
class Demand:
    """Holds the bytes that a batch takes beside the model.

    Per token that a batch is counted to have: `filled` once it is prefilled, `decoding` while its cells decode. What a
    prefill pass takes beside the former, and a pass over given texts beside the latter, does not grow with the batch.
    """

    filled: float
    decoding: float
    prefill: float
    scoring: float


def demand_of(
    model: Transformer,
    examples: Sequence[Example],
    cells: int,
    passes: Passes,
    states: Callable[[Example], float] = lambda _: 0.0,
    caches: int = 1,
    gathers: bool = True,
) -> Demand:
    """Find the most that any example asks for under so many cells, whose states take `states` bytes of it.

    There are `caches` of the prompts at once. With `gathers` some cell has no kernel, and copies what it attends to.
    """
    attending, scores = _attending_bytes(model, GATHERED if gathers else 0), _numbers_bytes(model, SCORES)

    def filled(one: Example) -> float:
        return caches * (one.prompt + one.steps) * _column_bytes(model)

    def decoding(one: Example) -> float:
        own = cells * (one.steps * model.cached_bytes + row_bytes(model))
        return filled(one) + own + (one.prompt + one.steps) * (attending + cells * scores) + states(one)

    kept, grown = (most_per_token(examples, cells, taken) for taken in (filled, decoding))
    prefill = max(passes.prefill, *(one.prompt for one in examples)) * _pass_bytes(model, passes.block)
    return Demand(kept, grown, prefill, LOGIT_COPIES * passes.logit_bytes)


def most_per_token(examples: Sequence[Example], cells: int, taken: Callable[[Example], float]) -> float:
    """Find the most that any example takes per token that a batch counts for it: its prompt and each cell's decoded.

    Of many examples those at SPREAD places between the shortest and the longest tell.
    """
    sizes = sorted(set(examples))
    places = sorted({round(i * (len(sizes) - 1) / SPREAD) for i in range(SPREAD + 1)})
    return max(taken(one) / (one.prompt + cells * one.steps) for one in (sizes[place] for place in places))


def fitting_tokens(free: float, demand: Demand) -> int:
    """Return how many tokens of a batch, prompts and all cells' decoded ones, fit into `free` bytes at any time.

    At least 1, however little is free: a batch holds one example whatever the number, and that is tried.
    """
    at_prefill = (SHARE * free - demand.prefill) / demand.filled
    at_decoding = (SHARE * free - demand.scoring) / demand.decoding
    return max(1, int(min(at_prefill, at_decoding)))


def _column_bytes(model: Transformer) -> int:
    """Count the bytes of a column of KV cache: K, V and statistics of all layers."""
    return model.cached_bytes + _numbers_bytes(model, STATISTICS)


def _numbers_bytes(model: Transformer, numbers: int) -> int:
    """Count the bytes of some float32 numbers per KV head of all layers."""
    return sum(layer.kv_heads * numbers * FLOAT32 for layer in model.layers)


def _attending_bytes(model: Transformer, copies: int) -> int:
    """Count the bytes that attending to a column makes in one layer: copies of its K and V, and its weights."""
    gathered = max(copies * 2 * layer.kv_heads * layer.head_dim * model.element for layer in model.layers)
    return gathered + WEIGHT_COPIES * model.heads * max(FLOAT32, model.element)


def row_bytes(model: Transformer) -> int:
    """Count the bytes of a row in a decode step: through a layer; logits as they are, in float32, as likelihoods."""
    return _pass_bytes(model, block=0) + model.vocabulary * (model.element + 2 * FLOAT32)


def _pass_bytes(model: Transformer, block: int) -> int:
    """Count the bytes of a token on its way through a layer: in the feed-forward layer, or around attention.

    There it has the attention weights for a `block` of queries.
    """
    weights = WEIGHT_COPIES * model.heads * block * max(FLOAT32, model.element)
    attention = HIDDEN_COPIES * model.hidden * model.element + weights
    return max(attention, (PASSED_COPIES * model.hidden + INNER_COPIES * model.inner) * model.element)
