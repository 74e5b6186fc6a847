"""Prefills a batch of prompts once, then generates or scores under every method."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from harness.attention.calibration import Calibrator
from harness.attention.rope import Rope
from harness.engine.cache import PromptCache
from harness.engine.comparison import Comparison
from harness.engine.decode import DecodeStream
from harness.engine.device import current, wait_for
from harness.engine.finite import NotFiniteError, WatchedModel
from harness.engine.lending import Loan, make_loan
from harness.engine.model import Model
from harness.engine.prefill import Prefill, Prefilled
from harness.engine.prompt import Output, Prompt, padded
from harness.engine.session import Session
from harness.errors import InputError
from harness.kernels import Kernel, choose_binding, choose_observe, fits
from harness.methods import Method
from harness.methods.controls.dense import Dense


class Engine:
    """Runs batches of prompts through a model under several methods.

    `prefill_tokens` bounds one prefill pass, padding included; `kernel` chooses between torch and Triton for the
    methods' attention ("auto": Triton where it can serve them). `ropes` are the rotary embeddings of the layers, for
    methods that need them, `calibrations` what calibrators learnt of each layer beforehand (engine/calibrate.py). With
    `divergence` each batch is decoded once more, along dense's tokens, to compare all methods with it.
    """

    def __init__(
        self,
        model: Model,
        prefill_tokens: int = 2048,
        kernel: Kernel = "auto",
        ropes: Sequence[Rope | None] = (),
        calibrations: Mapping[Calibrator[Any], Sequence[Any]] | None = None,
        divergence: bool = False,
    ) -> None:
        self._model = model
        self._ropes = ropes
        self._calibrations = calibrations or {}
        self._loans: dict[Method[Any], Loan] = {}
        self._kernel: Kernel = kernel
        self._prefill_tokens = prefill_tokens
        self._divergence = divergence

    def run(self, batch: Sequence[Prompt], methods: Sequence[Method[Any]]) -> list[list[Output]]:
        """Return the outputs by method, then by prompt. All of a batch generate, or all are forced.

        Raises NotFiniteError when logits are NaN or infinite.
        """
        needs_dense = self._divergence and not any(method.is_dense for method in methods)
        every = [*methods, Dense()] if needs_dense else methods
        outputs: dict[tuple[int, int], Output] = {}
        with current(self._model.device):
            for rows in self._rows(batch):
                for i, of_method in self._run_rows([batch[row] for row in rows], every).items():
                    outputs |= {(i, row): output for row, output in zip(rows, of_method, strict=True)}
        return [[outputs[i, row] for row in range(len(batch))] for i in range(len(methods))]

    def locate(self, prompt: Prompt, method: Method[Any]) -> str:
        """Find where the first number that is not finite appears when the method decodes the prompt, in words."""
        watched = WatchedModel(self._model)
        with contextlib.suppress(NotFiniteError):
            engine = Engine(
                watched, self._prefill_tokens, self._kernel, self._ropes, self._calibrations, self._divergence
            )
            engine.run([prompt], [method])
        return watched.first_not_finite

    def _rows(self, batch: Sequence[Prompt]) -> list[list[int]]:
        """Group the rows that may share a pass: all, or only those of one length, now and at their end."""
        groups: dict[object, list[int]] = {}
        for row, prompt in enumerate(batch):
            length = None if self._model.mixed_lengths else (len(prompt.tokens), prompt.steps)
            groups.setdefault(length, []).append(row)
        return list(groups.values())

    def _run_rows(self, batch: Sequence[Prompt], methods: Sequence[Method[Any]]) -> dict[int, list[Output]]:
        """Return the outputs by method of prompts that may share a pass: group by group, each with its prefill."""
        comparison = Comparison(self._model, self._stream, batch) if self._divergence else None
        outputs: dict[int, list[Output]] = {}
        for group in _by_prefill(methods):
            found = self._run_group(batch, [methods[i] for i in group], comparison)
            outputs |= zip(group, found, strict=True)
        return outputs

    def _run_group(
        self, batch: Sequence[Prompt], methods: list[Method[Any]], comparison: Comparison | None
    ) -> list[list[Output]]:
        """Return the outputs of methods that share a prefill, or of one with a prefill and weights of its own."""
        loan = self._loan(methods[0]) if methods[0].own_prefill else None
        weights = partial(self._model.lend, loan.lent) if loan else contextlib.nullcontext
        with weights():
            filled = self._prefill(batch, methods)
            outputs = self._decode(filled, batch, methods, reweighed=loan is not None and loan.changed)
        if comparison:
            comparison.note(filled, methods, outputs, weights)
        return outputs

    def _decode(
        self, filled: Prefilled, batch: Sequence[Prompt], methods: list[Method[Any]], reweighed: bool
    ) -> list[list[Output]]:
        """Return the outputs of a group that shares a filled cache, with the weights that the model has now."""
        cache, logits = filled
        session = Session(self._model, [self._stream(method, cache) for method in methods], batch)
        wait_for(self._model.device)  # the prefill is not the session's time
        begin = time.perf_counter()
        if batch[0].forced is None:
            session.generate(logits)
        else:
            session.score(logits)
        session.share_time(time.perf_counter() - begin)
        session.note_activity()
        session.note_prefill(cache.densities, reweighed)
        session.note_measured()
        return session.outputs

    def _prefill(self, batch: Sequence[Prompt], methods: list[Method[Any]]) -> Prefilled:
        """Fill a cache, with the statistics that any of the methods observes."""
        device = self._model.device
        lengths = [len(prompt.tokens) for prompt in batch]
        cache = PromptCache(lengths, [prompt.steps for prompt in batch], device, self._final(batch), self._ropes)
        observes = frozenset().union(*(m.observes for m in methods))
        observe = choose_observe(self._kernel, device)
        own = methods[0] if methods[0].own_prefill else None
        learnt, loan = (self._learnt(own), self._loan(own)) if own else ((), None)
        rows_per_pass = max(1, self._prefill_tokens // max(lengths))
        logits = []
        for start in range(0, len(batch), rows_per_pass):
            rows = slice(start, min(start + rows_per_pass, len(batch)))
            tokens = padded([prompt.tokens for prompt in batch[rows]], device)
            positions = torch.arange(tokens.shape[1], device=device).expand_as(tokens)
            mode = Prefill(cache, rows, observes, observe, own, learnt, loan.reweighed if loan else ())
            last = cache.live(device).count[rows] - 1
            logits.append(self._model.forward(tokens, positions, mode, last)[:, 0])
        return Prefilled(cache, torch.cat(logits))

    def _final(self, batch: Sequence[Prompt]) -> int | None:
        """Count the tokens that each row is fed in all: known of forced ones, needed where rows have one length."""
        known = batch[0].forced is not None and not self._model.mixed_lengths
        return len(batch[0].tokens) + batch[0].steps - 1 if known else None

    def _stream(self, method: Method[Any], cache: PromptCache) -> DecodeStream:
        kernels_fit = fits(cache.head_dim, self._model.capped)
        binding = choose_binding(method, self._kernel, self._model.device, kernels_fit)
        loan = self._loan(method)
        compress = self._model.compress(method.compressor) if method.compressor else ()
        weights = loan.reweighed if loan else ()
        return DecodeStream.of(method, cache, binding, self._learnt(method), weights, compress)

    def _loan(self, method: Method[Any]) -> Loan | None:
        """Return what a method makes of the model's weights, which it is asked for once; None if it needs none."""
        if "weights" not in method.needs:
            return None
        if method not in self._loans:
            self._loans[method] = make_loan(self._model, method, self._learnt(method))
        return self._loans[method]

    def _learnt(self, method: Method[Any]) -> Sequence[Any]:
        if method.calibrator is None:
            return ()
        if method.calibrator not in self._calibrations:
            raise InputError(
                f"{type(method).__name__} learns from a task's prompts beforehand, and there are none here: "
                "give it knobs with which it needs no calibration"
            )
        return self._calibrations[method.calibrator]


def _by_prefill(methods: Sequence[Method[Any]]) -> list[list[int]]:
    """Group the indices of methods by prefill: the dense one is shared, others have their own."""
    shared = [i for i, method in enumerate(methods) if not method.own_prefill]
    alone = [[i] for i, method in enumerate(methods) if method.own_prefill]
    return [shared, *alone] if shared else alone
