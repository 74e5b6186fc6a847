"""Describes what of a model costs memory and time. Its configuration is enough: no weights, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from harness.attention import LayerShape

INNER = ("intermediate_size", "ffn_dim")
"""What configurations call the width of a feed-forward layer; where they are silent it is four times the model's."""
UNGATED = ("gpt_neox", "gpt2", "gptj", "opt", "phi")
"""Architectures whose feed-forward layers have two matrices; those of the others have three."""


@dataclass(frozen=True)
class Transformer:
    """Holds the shape of each attention layer, numbers per token, and the bytes of an element of weights and KV cache.

    Numbers per token are those of the hidden state, within a feed-forward layer of so many matrices, and of logits;
    `heads` are the query heads of a layer.
    """

    layers: Sequence[LayerShape]
    hidden: int
    inner: int
    vocabulary: int
    heads: int
    matrices: int = 3
    element: int = 2

    @classmethod
    def of(cls, config: Any, layers: Sequence[LayerShape], element: int) -> Self:
        """Read the configuration of a text model."""
        inner = next((found for name in INNER if (found := getattr(config, name, None))), 4 * config.hidden_size)
        matrices = 2 if config.model_type in UNGATED else 3
        widths = config.hidden_size, inner, config.vocab_size, config.num_attention_heads
        return cls(layers, *widths, matrices, element)

    @property
    def parameters(self) -> float:
        """Count the weights that a token is multiplied with: attention, the feed-forward layers, the vocabulary."""
        attention = sum(2 * layer.head_dim * (self.heads + layer.kv_heads) for layer in self.layers)
        return float(self.hidden * (attention + len(self.layers) * self.matrices * self.inner + self.vocabulary))

    @property
    def weight_bytes(self) -> float:
        """Count the bytes of those weights."""
        return self.parameters * self.element

    @property
    def kv_heads(self) -> float:
        """Average the KV heads of a layer."""
        return sum(layer.kv_heads for layer in self.layers) / len(self.layers)

    @property
    def cached_bytes(self) -> int:
        """Count the bytes of K and V of one token over all layers."""
        return sum(2 * layer.kv_heads * layer.head_dim for layer in self.layers) * self.element

    def prefill_flops(self, n: int) -> float:
        """Count the operations of a causal prefill of n tokens: two per weight and token, half of QK' and of AV."""
        return 2 * self.parameters * n + 2.0 * n * n * self.heads * sum(layer.head_dim for layer in self.layers)
