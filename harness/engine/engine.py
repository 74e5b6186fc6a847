"""Prefill a batch of prompts once, then generate or score under every method."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness.engine.cache import PromptCache
from harness.engine.clock import wait_for
from harness.engine.decode_stream import DecodeStream
from harness.engine.device import current
from harness.engine.finite import NotFiniteError, Watch
from harness.engine.model import Model
from harness.engine.prefill import Prefill
from harness.engine.prompt import Output, Prompt, padded
from harness.engine.session import Session
from harness.kernels import Kernel, choose_binding, choose_observe, fits
from harness.methods import Method


class Engine:
    """Runs batches of Prompt through a model.

    `prefill_tokens` bounds one prefill pass, padding included; `kernel` chooses between torch and Triton for the
    methods' attention ("auto": Triton where it can serve them).
    """

    def __init__(self, model: Model, prefill_tokens: int = 2048, kernel: Kernel = "auto") -> None:
        self._model = model
        self._kernel: Kernel = kernel
        self._prefill_tokens = prefill_tokens
        self.prefills = 0

    def run(self, batch: Sequence[Prompt], methods: Sequence[Method[Any]]) -> list[list[Output]]:
        """Answers by method, then by Prompt. All of a batch generate, or all are forced.

        Raises NotFiniteError when logits are NaN or infinite.
        """
        outputs: list[list[Output] | None] = [None] * len(methods)
        with current(self._model.device):
            for group in _by_prefill(methods):
                chosen = [methods[i] for i in group]
                for i, output in zip(group, self._run_group(batch, chosen), strict=True):
                    outputs[i] = output
        return [a for a in outputs if a is not None]

    def locate(self, prompt: Prompt, method: Method[Any]) -> str:
        """Where the first number that is not finite appears when the method does the work, in words."""
        watch = Watch(self._model)
        with contextlib.suppress(NotFiniteError):
            Engine(watch, self._prefill_tokens, self._kernel).run([prompt], [method])
        return watch.place

    def _run_group(self, batch: Sequence[Prompt], methods: list[Method[Any]]) -> list[list[Output]]:
        decode_steps = max(prompt.steps for prompt in batch)
        cache, logits = self._prefill(batch, methods, decode_steps)
        device = self._model.device
        plain = fits(cache.head_dim, self._model.capped)
        branches = [DecodeStream.of(m, cache, choose_binding(m, self._kernel, device, plain)) for m in methods]
        session = Session(self._model, cache, branches, batch)
        wait_for(device)  # the prefill is not the session's time
        begin = time.perf_counter()
        if batch[0].forced is None:
            session.generate(logits, decode_steps)
        else:
            session.score(logits, decode_steps)
        session.share_time(time.perf_counter() - begin)
        return session.outputs

    def _prefill(
        self, batch: Sequence[Prompt], methods: list[Method[Any]], decode_steps: int
    ) -> tuple[PromptCache, Tensor]:
        """The filled cache and the logits [B, V] of every prompt's last token."""
        device = self._model.device
        lengths = [len(prompt.tokens) for prompt in batch]
        cache = PromptCache(lengths, decode_steps, device)
        observes = frozenset().union(*(m.observes for m in methods))
        mask = methods[0].prefill_mask(max(lengths))
        pattern = None if mask is None else mask.to(device)
        observe = choose_observe(self._kernel, device)
        rows_per_pass = max(1, self._prefill_tokens // max(lengths))
        logits = []
        for start in range(0, len(batch), rows_per_pass):
            rows = slice(start, min(start + rows_per_pass, len(batch)))
            tokens = padded([prompt.tokens for prompt in batch[rows]], device)
            positions = torch.arange(tokens.shape[1], device=device).expand_as(tokens)
            mode = Prefill(cache, rows, observes, observe, pattern)
            logits.append(self._model.forward(tokens, positions, mode, cache.count[rows] - 1)[:, 0])
            self.prefills += len(tokens)
        return cache, torch.cat(logits)


def _by_prefill(methods: Sequence[Method[Any]]) -> list[list[int]]:
    """Indices of methods that share a prefill: all dense ones, and each that masks the prompt by itself."""
    shared = [i for i, m in enumerate(methods) if m.prefill_mask(1) is None]
    return ([shared] if shared else []) + [[i] for i, m in enumerate(methods) if m.prefill_mask(1) is not None]
