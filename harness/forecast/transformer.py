"""Describes what of a model costs memory and time. Its configuration is enough: no weights, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from harness.attention import LayerShape

INNER = ("intermediate_size", "ffn_dim")
"""What configurations call the width of a feed-forward layer; where they are silent it is four times the model's."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""What configurations call the number of feed-forward layers that a token's are chosen from."""
UNGATED = ("gpt_neox", "gpt2", "gptj", "opt", "phi")
"""Architectures whose feed-forward layers have two matrices; those of the others have three."""


@dataclass(frozen=True)
class Transformer:
    """Holds the shape of each attention layer, numbers per token, and the bytes of an element of weights and KV cache.

    Numbers per token are those of the hidden state, within a feed-forward layer of so many matrices, and of logits;
    `heads` are the query heads of a layer, whose logits may be `capped`. Of the `experts` feed-forward layers of a
    layer, a token passes `active`.
    """

    layers: Sequence[LayerShape]
    hidden: int
    inner: int
    vocabulary: int
    heads: int
    matrices: int = 3
    element: int = 2
    experts: int = 1
    active: int = 1
    capped: bool = False

    @classmethod
    def of(cls, config: Any, layers: Sequence[LayerShape], element: int) -> Self:
        """Read the configuration of a text model."""
        experts = _first(config, EXPERTS) or 1
        inner = _first(config, ("moe_intermediate_size",) if experts > 1 else ()) or _first(config, INNER)
        matrices = 2 if config.model_type in UNGATED else 3
        widths = config.hidden_size, inner or 4 * config.hidden_size, config.vocab_size, config.num_attention_heads
        active = min(experts, _first(config, ("num_experts_per_tok",)) or 1)
        capped = getattr(config, "attn_logit_softcapping", None) is not None
        return cls(layers, *widths, matrices, element, experts, active, capped)

    @property
    def parameters(self) -> float:
        """Count the weights that tokens are multiplied with: attention, the feed-forward layers, the vocabulary."""
        return self._multiplied(self.experts)

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
        attention = 2.0 * n * n * self.heads * sum(layer.head_dim for layer in self.layers)
        return 2 * self._multiplied(self.active) * n + attention

    def _multiplied(self, feed_forward: int) -> float:
        attention = sum(2 * layer.head_dim * (self.heads + layer.kv_heads) for layer in self.layers)
        inner = len(self.layers) * feed_forward * self.matrices * self.inner
        return float(self.hidden * (attention + inner + self.vocabulary))


def _first(config: Any, names: Sequence[str]) -> int | None:
    return next((int(found) for name in names if (found := getattr(config, name, None))), None)
