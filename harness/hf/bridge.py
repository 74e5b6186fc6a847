"""Makes every attention layer of a transformers model call the engine; nothing else about the model changes.

An attention function and a mask function are registered under a key of the model's own; the KV cache that the model
sees knows its length and holds nothing. What attention computes is up to the `ForwardMode` of the forward pass.
"""

from __future__ import annotations

import inspect
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache
from transformers.masking_utils import sdpa_mask

from harness.attention import Projections
from harness.attention.compressor import Compress, Compressor
from harness.attention.scores import Scores
from harness.engine.device import current
from harness.engine.model import ForwardMode, LayerCall
from harness.errors import InputError
from harness.hf.honour import dishonoured
from harness.hf.inputs import captured
from harness.hf.pass_through import PassThroughLayer
from harness.hf.placement import find_devices, unrecorded
from harness.hf.presses import compressions
from harness.hf.projections import lent, projections
from harness.hf.rope import tell_length


class Bridge:
    """Lends a model the engine's attention. One at a time per model.

    `mixed_lengths` is False where something in the model depends on columns or on the longest row of a pass.
    """

    def __init__(self, model: Any, mixed_lengths: bool = True) -> None:
        self.mixed_lengths = mixed_lengths
        self._model = model
        self._mode: ForwardMode | None = None
        self._inputs: dict[int, Tensor] = {}
        self._cache_name = _cache_name(model)
        self._key = f"harness_{uuid.uuid4().hex}"
        self._devices = find_devices(model)
        if told := unrecorded(self._devices):
            warnings.warn(told, RuntimeWarning, stacklevel=2)
        AttentionInterface.register(self._key, _weakly(self._attend))
        AttentionMaskInterface.register(self._key, _weakly(self._mask))
        model.set_attn_implementation(self._key)
        for handle in tell_length(model, _weakly(self._final)):
            weakref.finalize(self, handle.remove)  # another bridge may follow on the same model

    @property
    def device(self) -> torch.device:
        """Return the device on which the model takes its input, and to which it brings its logits."""
        return self._model.get_input_embeddings().weight.device  # type: ignore[no-any-return]

    @property
    def capped(self) -> bool:
        """Say if the architecture soft-caps its attention logits."""
        return getattr(self._model.config.get_text_config(), "attn_logit_softcapping", None) is not None

    @property
    def replayable(self) -> bool:
        """Say if a pass can be recorded as a CUDA graph, which is of one GPU that holds every weight."""
        return self.device.type == "cuda" and len(self._devices) == 1

    @property
    def layers(self) -> int:
        """Count the attention layers of the model."""
        return int(self._model.config.get_text_config().num_hidden_layers)

    def projections(self) -> list[Projections]:
        """Return the weights that make each layer's keys and values. Raises InputError where they are not its own."""
        return projections(self._model)

    def lend(self, others: Sequence[Projections]) -> AbstractContextManager[None]:
        """Let the model run with other such weights; its own are back afterwards, whatever happens."""
        return lent(self._model, others)

    def compress(self, compressor: Compressor) -> Sequence[Compress]:
        """Return what a press does in each layer. Raises InputError for one that cannot be run here."""
        return compressions(self._model, compressor)

    @torch.inference_mode()
    def forward(self, tokens: Tensor, positions: Tensor, mode: ForwardMode, last: Tensor | None = None) -> Tensor:
        """Compute logits [R, T, V] for tokens, positions [R, T]; with `last` [R], of one token a row, [R, 1, V]."""
        self._mode = mode
        cache = {self._cache_name: Cache(layers=[PassThroughLayer(mode.cached) for _ in range(self.layers)])}
        try:
            with self._only(last), self._capturing(mode.wants_inputs):
                return self._model(  # type: ignore[no-any-return]
                    input_ids=tokens, position_ids=positions, use_cache=True, **cache
                ).logits
        finally:
            self._mode = None

    @contextmanager
    def _only(self, last: Tensor | None) -> Iterator[None]:
        """Cut the hidden states down before the vocabulary projection: [R, S, V] would not fit."""
        if last is None:
            yield
            return
        rows = torch.arange(len(last), device=last.device)

        def cut(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
            return (inputs[0][rows.to(inputs[0].device), last.to(inputs[0].device)][:, None],)

        handle = self._model.get_output_embeddings().register_forward_pre_hook(cut)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def _capturing(self, wanted: bool) -> Iterator[None]:
        """Note what enters each layer's attention until the layer calls."""
        if not wanted:
            yield
            return
        with captured(self._model) as self._inputs:
            yield

    def _final(self) -> int | None:
        return None if self._mode is None else self._mode.final

    def _attend(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        why = dishonoured(module, kwargs, key, value)
        if why:
            raise InputError(f"{type(module).__name__} {why}, which no method here can honour: choose another model")
        if self._mode is None:
            raise RuntimeError("the model was called outside Bridge.forward")
        scores = Scores(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap)
        inputs = self._inputs.pop(module.layer_idx, None)
        call = LayerCall(module.layer_idx, query, key, value, attention_mask, scores, inputs)
        with current(query.device):  # kernels are launched on the current GPU
            return self._mode.attend(call).transpose(1, 2).contiguous(), None

    def _mask(
        self, *, local_size: int | None = None, allow_is_causal_skip: bool = True, **kwargs: Any
    ) -> Tensor | None:
        """Return None for plain causality, and write out what is narrower for one row: padding is left to the mode."""
        if local_size is None and allow_is_causal_skip:
            return None
        kwargs |= {"batch_size": 1, "attention_mask": None, "local_size": local_size}
        return sdpa_mask(allow_is_causal_skip=False, **kwargs)  # type: ignore[no-any-return]


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method so that its object may be freed: what transformers registers, it never lets go."""
    reference = weakref.WeakMethod(method)

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = reference()
        if bound is None:
            raise RuntimeError("the model was called after its Bridge was gone")
        return bound(*args, **kwargs)

    return call


def _cache_name(model: Any) -> str:
    """Find what the forward pass calls its cache: transformers 5.24 renamed it for most architectures."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
