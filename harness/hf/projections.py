"""Finds the weights that make a model's keys and values, and lends it others for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from harness.attention import Projections
from harness.errors import InputError

UNPLAIN = "a norm or a clip follows its keys' weights, so cached keys cannot be projected as the weights would be"


class Pair(NamedTuple):
    """Holds k_proj and v_proj of an attention layer, if no more than a rotation follows them, and how many heads."""

    k: nn.Linear
    v: nn.Linear
    plain: bool
    heads: int


def projections(model: Any) -> list[Projections]:
    """Return the weights of every attention layer. Raises InputError, naming the architecture, if a layer has none.

    So it does for weights that wait on the host, which other ones could not take the place of.
    """
    pairs = find_pairs(model)
    if any(pair.k.weight.is_meta or pair.v.weight.is_meta for pair in pairs):
        raise InputError("weights of keys and values are to be changed, and some wait on the host: use more GPUs")
    return [Projections(of.k.weight, of.v.weight, of.k.bias, of.v.bias, of.plain, of.heads) for of in pairs]


@contextmanager
def lent(model: Any, others: Sequence[Projections]) -> Iterator[None]:
    """Let the model run with other weights of K and V, biases kept; its own are back afterwards, whatever happens."""
    pairs = find_pairs(model)
    linears = [linear for pair in pairs for linear in (pair.k, pair.v)]
    own = [linear.weight for linear in linears]
    try:
        for pair, other in zip(pairs, others, strict=True):
            for linear, new in ((pair.k, other.k), (pair.v, other.v)):
                linear.weight = nn.Parameter(new.to(linear.weight), requires_grad=False)
        yield
    finally:
        for linear, weight in zip(linears, own, strict=True):
            linear.weight = weight


def weights_refusal(config: Any, plain: bool, trust_remote_code: bool = False) -> str | None:
    """Say why weights of K and V cannot be changed in a model of this kind; None if they can. Reads no weights.

    With `plain` keys and values have to be products that are rotated, and no more.
    """
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantised, so those of keys and values cannot be changed"
    with torch.device("meta"):
        given = {"dtype": torch.bfloat16, "trust_remote_code": trust_remote_code}
        model = AutoModelForCausalLM.from_config(config, **given)
    try:
        found = find_pairs(model)
    except InputError as error:
        return str(error)
    return None if not plain or all(pair.plain for pair in found) else UNPLAIN


def find_pairs(model: Any) -> list[Pair]:
    """Find the linear layers of every attention layer, in order; InputError as above. Weights are not looked at."""
    config = model.config.get_text_config()
    found = {module.layer_idx: _pair(module, config) for module in model.modules() if _has_pair(module)}
    if sorted(found) != list(range(int(config.num_hidden_layers))):
        raise InputError(
            f"architecture '{config.model_type}' has no weights k_proj and v_proj of its own in every layer, which are "
            "to be changed: choose another model, or leave the method out"
        )
    return [found[layer] for layer in sorted(found)]


def _has_pair(module: Any) -> bool:
    pair = (getattr(module, "k_proj", None), getattr(module, "v_proj", None))
    return hasattr(module, "layer_idx") and all(_is_dense(linear) for linear in pair)


def _is_dense(linear: Any) -> bool:
    """Return True for a linear layer with numbers as weights, not with codes of quantised ones."""
    return isinstance(linear, nn.Linear) and linear.weight.is_floating_point() and linear.weight.dim() == 2


def _pair(module: Any, config: Any) -> Pair:
    """Take an attention layer's; what is called a norm beside them, or a clip, comes between product and rotation."""
    norms = [name for name, child in module.named_children() if "norm" in name and not isinstance(child, nn.Identity)]
    plain = not norms and getattr(config, "clip_qkv", None) is None
    width = getattr(module, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Pair(module.k_proj, module.v_proj, plain, module.k_proj.out_features // width)
