"""Says of a configuration alone why its model cannot be run: by what kind of model it is, not by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from harness.errors import InputError, first_line

OTHER_HEAD = re.compile(r"For(?!CausalLM|ConditionalGeneration)[A-Z]\w*$|RewardModel$")
"""Ends the class name of a model that predicts something else than the next token."""

STATELESS = {"full_attention", "sliding_attention", "chunked_attention", "attention", "mlp", "moe"}
"""What transformers calls layers that keep no state, or none but a KV cache."""


@contextmanager
def unsupported(name: str, config: Any, failing: str) -> Iterator[None]:
    """Raise as InputError, naming the architecture, what is found against it; `failing` says what foreign code did."""
    try:
        yield
        return
    except InputError as error:
        why = str(error)
    except Exception as error:  # foreign modelling code fails in its own ways
        why = f"{failing} ({first_line(error)})"
    kind = getattr(config, "model_type", "unknown")
    raise InputError(f"model '{name}': architecture '{kind}' is not supported: {why}") from None


def refusal(config: Any) -> str | None:
    """Return why no method here can run such a model, as the rest of a sentence; None if nothing is known."""
    return next((reason for judge in _JUDGES if (reason := judge(config))), None)


def _encoder_decoder(config: Any) -> str | None:
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder-decoder, which reads a prompt without a decoder's cache: choose a decoder-only model"
    return None


def _other_head(config: Any) -> str | None:
    """Find checkpoints whose head is not one over the vocabulary: rewards, classes, masked tokens, spans."""
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type, ())
    names = [name for name in getattr(config, "architectures", None) or () if OTHER_HEAD.search(name)]
    other = [name for name in names if name not in _flat([known])]
    return f"its weights are those of {other[0]}, which predicts no next token" if other else None


def _no_causal_model(config: Any) -> str | None:
    """Find configurations that transformers knows, but makes no causal language model of."""
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "AutoModelForCausalLM" in _remote(config):
        return None
    return "transformers makes no causal language model of it: choose a decoder-only text model"


def _other_state(config: Any) -> str | None:
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or ()) - STATELESS
    if kinds:
        return f"its {', '.join(sorted(map(str, kinds)))} layers keep a state that is no KV cache"
    return None


def _cross_attention(config: Any) -> str | None:
    if getattr(config.get_text_config(), "cross_attention_layers", None):
        return "some of its layers attend to an image instead of the text (cross-attention)"
    return None


_JUDGES: tuple[Callable[[Any], str | None], ...] = (
    _encoder_decoder,
    _other_head,
    _no_causal_model,
    _other_state,
    _cross_attention,
)


def _remote(config: Any) -> Iterable[str]:
    return getattr(config, "auto_map", None) or ()


def _flat(names: Iterable[Any]) -> set[str]:
    """Gather names out of names and tuples of names."""
    return {name for entry in names for name in ([entry] if isinstance(entry, str) else entry)}
