"""How many tokens of a batch fit into a device's memory: arithmetic on shapes, rounded up where the engine varies.

No torch here. What turns out too much is halved by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from harness.attention import LayerShape

SHARE = 0.9
"""Of the free memory. The rest is for fragments and for what this arithmetic does not know."""
INNER = ("intermediate_size", "ffn_dim")
"""What configurations call the width of a feed-forward layer; where they are silent it is four times the model's."""
FLOAT32 = 4
HIDDEN_COPIES, INNER_COPIES, WEIGHT_COPIES, LOGIT_COPIES = 8, 3, 3, 3
"""Tensors alive at once in a pass: of hidden width, of feed-forward width, of attention weights, of logits."""
STATISTICS = 2
"""Float32 numbers per token and KV head that methods observe of a prefill: weight received, time of last use."""
GATHERED = 2
"""Copies that a method makes of one layer's K and V while it attends."""


@dataclass(frozen=True)
class Widths:
    """Numbers per token: of the hidden state, within a feed-forward layer, of logits; and query heads of a layer."""

    hidden: int
    inner: int
    vocabulary: int
    heads: int

    @classmethod
    def of(cls, config: Any) -> Self:
        """From the configuration of a text model."""
        inner = next((found for name in INNER if (found := getattr(config, name, None))), 4 * config.hidden_size)
        return cls(config.hidden_size, inner, config.vocab_size, config.num_attention_heads)


@dataclass(frozen=True)
class Demand:
    """What is asked of memory beside the model, whatever cells there are.

    Per token that a batch is counted to have, `columns` of KV cache are allocated and `rows` decode side by side. A
    prefill pass has `prefill` tokens and holds the attention weights of `block` queries at once; a pass over given
    texts makes `logit_bytes` of float32 logits.
    """

    columns: float
    rows: float
    prefill: int
    block: int
    logit_bytes: int


def fitting_tokens(free: float, layers: Sequence[LayerShape], element: int, widths: Widths, demand: Demand) -> int:
    """Tokens of a batch, prompts and all cells' decoded ones, that fit into `free` bytes at `element` bytes a number.

    (SHARE x free - what a prefill pass and a scoring pass take) / bytes per token. At least 1, however little is free:
    a batch holds one example whatever the number, and that is tried.
    """
    fixed = demand.prefill * _prefill_bytes(element, widths, demand.block) + LOGIT_COPIES * demand.logit_bytes
    per_token = demand.columns * _cache_bytes(layers, element, widths) + demand.rows * _row_bytes(element, widths)
    return max(1, int((SHARE * free - fixed) / per_token))


def _cache_bytes(layers: Sequence[LayerShape], element: int, widths: Widths) -> int:
    """Of one column: K, V and statistics of every layer, and what a method makes of one layer as it attends."""
    kept = sum(layer.kv_heads * (2 * layer.head_dim * element + STATISTICS * FLOAT32) for layer in layers)
    gathered = max(GATHERED * 2 * layer.kv_heads * layer.head_dim * element for layer in layers)
    return kept + gathered + WEIGHT_COPIES * widths.heads * max(FLOAT32, element)


def _row_bytes(element: int, widths: Widths) -> int:
    """Of one row in a decode step: its way through a layer; its logits as they are, in float32, and as likelihoods."""
    return _layer_bytes(element, widths) + widths.vocabulary * (element + 2 * FLOAT32)


def _prefill_bytes(element: int, widths: Widths, block: int) -> int:
    """Of one token in a prefill pass: its way through a layer, and the weights it receives from a block of queries."""
    return _layer_bytes(element, widths) + WEIGHT_COPIES * widths.heads * block * max(FLOAT32, element)


def _layer_bytes(element: int, widths: Widths) -> int:
    return (HIDDEN_COPIES * widths.hidden + INNER_COPIES * widths.inner) * element
