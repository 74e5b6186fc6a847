"""`harness bench generate`: what a decode step of a whole model costs under each method, and where the time goes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._dynamo import config as dynamo_config
from torch.nn.attention import SDPBackend

from harness import methods
from harness.bench.decoding import Attend, Decoding, by_kernel, by_sdpa, by_torch, filled, no_attention, step_of
from harness.bench.row import Row
from harness.bench.timing import Timing, time_calls
from harness.errors import InputError
from harness.hf import Checkpoint
from harness.hf.bridge import Bridge
from harness.kernels import find_binding
from harness.methods import Method
from harness.methods.cost import transfers

BACKENDS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
PAPER_TOKENS = {"k": 128, "local": 32}
RANK_STEP = 8
"""On a GPU, r is rounded down to a multiple of this: the score kernel loads channels in groups."""


Named = tuple[str, Method[Any]]
"""A method under the name that found it."""


@dataclass(frozen=True)
class Bench:
    """A loaded model and the machine's copy bandwidth in bytes per second."""

    checkpoint: Checkpoint
    model: Any
    bandwidth: float

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device(self.checkpoint.device)

    def grid(self, batches: Sequence[int], chosen: Mapping[int, Sequence[Named]]) -> Iterator[Row]:
        """Rows for every batch size and every cached length with its methods, as they are measured.

        Shapes that do not fit into the device's memory are left out.
        """
        for batch, length in itertools.product(batches, chosen):
            try:
                yield from self.measure(batch, length, chosen[length])
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()

    def measure(self, batch: int, length: int, chosen: Sequence[Named]) -> Iterator[Row]:
        """Rows of one shape; the step without attention is measured first."""
        like = self.model.get_input_embeddings().weight
        phase = filled(self.checkpoint.layers, batch, length, transposed=self.device.type == "cuda", like=like)
        bridge = Bridge(torch.compile(self.model) if self.device.type == "cuda" else self.model)
        rest = self._time(bridge, phase, no_attention, batch)
        for name, method in chosen:
            for backend, attention in self._attentions(method, length):
                try:
                    timing = self._time(bridge, phase, attention, batch)
                except RuntimeError as error:  # a backend that does not serve this shape says so
                    if isinstance(error, torch.OutOfMemoryError) or not backend.startswith("sdpa"):
                        raise
                    continue
                yield self._row(batch, length, name, method, backend, timing, rest)

    def _attentions(self, method: Method[Any], length: int) -> Iterator[tuple[str, Attend]]:
        if self.device.type != "cuda":
            yield "torch", by_torch(method, length)
            return
        if method.is_dense:
            yield from ((name, by_sdpa(backend, length)) for name, backend in BACKENDS.items())
        kernel = find_binding(method)
        if kernel is None:
            raise InputError(f"{type(method).__name__} has no kernel to be timed on a GPU: leave it out")
        yield "triton", by_kernel(method, kernel)

    @torch.inference_mode()
    def _time(self, bridge: Bridge, phase: Decoding, attention: Attend, batch: int) -> Timing:
        phase.attention = attention
        with dynamo_config.patch(recompile_limit=4 * len(self.checkpoint.layers)):  # the code of a layer is its own
            return time_calls([step_of(bridge, phase, batch)], self.device)

    def _row(
        self, batch: int, length: int, name: str, method: Method[Any], backend: str, timing: Timing, rest: Timing
    ) -> Row:
        ms, layers = timing.median / 1e3, self.checkpoint.layers
        dense = transfers(methods.create("dense"), layers, length)
        moved = transfers(method, layers, length)
        return Row(
            model=self.checkpoint.spec.name,
            dtype=self.checkpoint.spec.dtype,
            batch=batch,
            seq=length,
            method=name,
            params=str(methods.settings(method)),
            backend=backend,
            compression=dense / moved,
            ms_per_token=ms,
            p10_ms=timing.p10 / 1e3,
            p90_ms=timing.p90 / 1e3,
            tokens_per_second=batch / ms * 1e3,
            attention_ms=ms - rest.median / 1e3,
            rest_ms=rest.median / 1e3,
            model_ms=self._model_ms(batch, moved),
            how=timing.how,
        )

    def _model_ms(self, batch: int, moved: float) -> float:
        """Roofline: all weights but the embedding table once, each row's transfers, at the copy bandwidth."""
        parameters = sum(p.numel() for p in self.model.parameters())
        output, table = self.model.get_output_embeddings().weight, self.model.get_input_embeddings().weight
        read = parameters - (0 if output is table else table.numel())
        return float((read + batch * moved) * self.checkpoint.bytes_per_element / self.bandwidth * 1e3)


def solved(checkpoint: Checkpoint, name: str, ratio: float, length: int) -> Named:
    """A method at the ratio; dense as it is. Raises InputError."""
    if methods.find(name).is_dense:
        return name, methods.create(name)
    fixed = PAPER_TOKENS if methods.find(name).about.access == "channels" else {}
    method = methods.solve(name, ratio, length, checkpoint.layers[0].head_dim, **fixed)
    knobs = methods.settings(method)
    if checkpoint.device == "cuda" and knobs.get("r", 0) > RANK_STEP:
        method = methods.create(name, **{**knobs, "r": knobs["r"] // RANK_STEP * RANK_STEP})
    return name, method
