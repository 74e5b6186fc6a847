"""Makes the configuration of a small copy of a model: the same kinds of layers, few and narrow, at short lengths."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

VOCABULARY, INNER, LAYERS, HEADS, GROUPS, HIDDEN = 64, 16, 4, 2, 4, 64
WIDTHS = """intermediate_size ffn_dim n_inner ffn_hidden_size moe_intermediate_size shared_expert_intermediate_size
intermediate_size_mlp expert_ffn_hidden_size hidden_size_per_layer_input""".split()
"""What configurations call the width of a layer's inside, which nothing else depends on."""
LENGTHS = {"sliding_window": 8, "attention_chunk_size": 8, "floor_scale": 4, "original_max_position_embeddings": 16}
"""Lengths in tokens at which something changes, made so short that prompts of some ten tokens pass them."""


def shrunken(config: Any, narrow: bool = True) -> Any:
    """Return a small copy of a configuration, still with its heads' width, on which rotary embeddings depend.

    `narrow` makes the hidden state less wide than all heads, where the configuration knows the two apart.
    """
    small = _narrowed(config, narrow, HEADS, GROUPS)
    for part in _parts(small):
        _shorten(part)
    _cut_layers(small.get_text_config())
    return small


def narrowed(config: Any, narrow: bool = True) -> Any:
    """Return a copy with one head, all layers and all lengths: its layers' rotary embeddings are the original's."""
    return _narrowed(config, narrow, 1, 1)


def _narrowed(config: Any, narrow: bool, heads: int, group: int) -> Any:
    small = copy.deepcopy(config)
    _narrow(small.get_text_config(), narrow, heads, group)
    for part in _parts(small):
        _forget(part)
    for other in _others(small):
        _put(other, num_hidden_layers=1, depth=1, num_layers=1, intermediate_size=INNER)
    return small


def _narrow(text: Any, narrow: bool, most: int, group: int) -> None:
    heads, kv_heads = text.num_attention_heads, _get(text, "num_key_value_heads") or text.num_attention_heads
    fewer = min(kv_heads, most)
    query_heads = fewer * min(heads // kv_heads, group)
    width = _get(text, "head_dim")
    apart = narrow and width is not None and "head_dim" in vars(text)
    hidden = HIDDEN if apart else query_heads * (width or text.hidden_size // heads)
    _put(text, num_attention_heads=query_heads, num_key_value_heads=fewer, hidden_size=hidden)
    _put(text, word_embed_proj_dim=hidden, initializer_range=hidden**-0.5)
    _put(text, vocab_size=VOCABULARY, vocab_size_per_layer_input=VOCABULARY)
    for name in WIDTHS:
        given = _get(text, name)
        _put(text, **{name: [INNER] * len(given) if isinstance(given, list | tuple) else INNER})


def _shorten(part: Any) -> None:
    _put(part, **LENGTHS)
    rope = _get(part, "rope_parameters") or {}
    for parameters in (rope, *(inner for inner in rope.values() if isinstance(inner, dict))):
        if parameters.get("original_max_position_embeddings"):
            parameters["original_max_position_embeddings"] = LENGTHS["original_max_position_embeddings"]


def _forget(part: Any) -> None:
    """Take away what points outside the small vocabulary, and how weights are stored; experts in any precision."""
    _put(part, pad_token_id=0, bos_token_id=1, eos_token_id=1)
    part._experts_implementation = "eager"
    if hasattr(part, "quantization_config"):
        del part.quantization_config


def _cut_layers(text: Any) -> None:
    """Keep the first layers, so many that each kind of layer is among them; layers that share a cache are all kept."""
    count = text.num_hidden_layers
    by_layer = {name: v for name, v in vars(text).items() if isinstance(v, list | tuple) and len(v) == count}
    telling = [entries for entries in by_layer.values() if len(set(map(str, entries))) < count]  # no list of indices
    kinds = [tuple(str(entries[i]) for entries in telling) for i in range(count)]
    keep = max(LAYERS, 1 + max(map(kinds.index, kinds)))
    if keep < count and not _get(text, "num_kv_shared_layers"):
        text.num_hidden_layers = keep
        for name, entries in by_layer.items():
            setattr(text, name, list(entries[:keep]))


def _parts(config: Any) -> list[Any]:
    text = config.get_text_config()
    return [config] if text is config else [config, text]


def _others(config: Any) -> Iterator[Any]:
    """Yield the configurations of other parts than text, such as image towers."""
    for name in getattr(config, "sub_configs", {}):
        part = _get(config, name)
        if part is not None and part is not config.get_text_config():
            yield part


def _get(part: Any, name: str) -> Any:
    """Return a setting; None if there is none, or one for each layer."""
    with contextlib.suppress(Exception):  # some configurations raise for what differs by layer
        return getattr(part, name, None)
    return None


def _put(part: Any, **settings: Any) -> None:
    """Change settings that are there."""
    for name, value in settings.items():
        if _get(part, name) is not None:
            setattr(part, name, value)
