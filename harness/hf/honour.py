"""Says what of a layer's call to attention no method can honour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_HARMLESS = {
    "dropout",
    "sliding_window",
    "position_ids",
    "cache_position",
    "is_causal",
    "use_cache",
    "output_attentions",
}
_HARMLESS |= {"output_hidden_states", "return_dict", "logits_to_keep", "position_embeddings", "max_length_q"}
_HARMLESS |= {"output_router_logits"}


def dishonoured(module: Any, given: Mapping[str, Any], key: Tensor, value: Tensor) -> str | None:
    """Say what of a layer's call to attention no method can honour; None if there is nothing."""
    unknown = [name for name, value in given.items() if value is not None and name not in _HARMLESS]
    if unknown:
        return f"passes {', '.join(unknown)} to attention"
    causal = given.get("is_causal")
    if not (getattr(module, "is_causal", True) if causal is None else causal):
        return "lets a token see those that follow it, as an encoder does"
    if getattr(module, "kv_lora_rank", None):
        return "caches a latent in place of keys and values (MLA)"
    return "has values of another width than keys" if key.shape[-1] != value.shape[-1] else None
