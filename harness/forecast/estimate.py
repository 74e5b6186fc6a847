"""How much work a job is, counted from its prompts and cells, and how long a device takes. No weights are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.attention import LayerShape
from harness.evaluation.batches import Limits, MicroBatch, batches
from harness.evaluation.prompts import TaskPrompt
from harness.forecast.decoding import Decoding
from harness.forecast.memory import Widths
from harness.forecast.time_model import MEASURED, Device, ModelSize, TimeModel
from harness.methods.cost import transfers
from harness.sweep.batch_tokens import planned_batch_tokens
from harness.sweep.prepare import Prepared

UNGATED = ("gpt_neox", "gpt2", "gptj", "opt", "phi")
"""Architectures whose feed-forward layers have two matrices, the others have three."""


@dataclass(frozen=True)
class Estimate:
    """The size of one job: example runs, tokens, KV cache, arithmetic and traffic.

    Bytes of KV cache are those of the largest example and of the largest batch under all cells. `prefills` is how often
    an example is prefilled: once for all cells, and once for each that masks its prompt.
    Decoded tokens are counted as if no generation ended early.
    """

    name: str
    size: ModelSize
    cells: int
    examples: int
    prefill_tokens: int
    decode_tokens: int
    example_bytes: int
    batch_bytes: int
    prefills: int
    prefill_flops: float
    decoding: Sequence[Decoding]

    @property
    def runs(self) -> int:
        """Example runs: examples under cells."""
        return self.cells * self.examples

    def prefill_seconds(self, model: TimeModel, device: Device) -> float:
        """One prefill of every example."""
        return model.prefill_seconds(device, self.prefill_flops)

    def kernel_seconds(self, model: TimeModel, device: Device) -> float:
        """All decoding, if nothing had to be waited for but the kernels."""
        return sum(one.kernel_seconds(model, device, self.size) for one in self.decoding)

    def decode_seconds(self, model: TimeModel, device: Device) -> float:
        """All decoding, launches of kernels included."""
        return sum(one.seconds(model, device, self.size) for one in self.decoding)


def estimate(prepared: Prepared, device: Device = MEASURED) -> Estimate:
    """Count a job's work. With engine.batch_tokens=auto, batches are what a `device` holds beside the weights."""
    cells, prompts, layers = prepared.plan.cells, prepared.prompts, prepared.checkpoint.layers
    width = prepared.checkpoint.bytes_per_element
    per_token = sum(2 * layer.kv_heads * layer.head_dim for layer in layers) * width
    parameters = multiplied(prepared.checkpoint.config.get_text_config(), layers)
    size = ModelSize(parameters, len(layers), sum(one.kv_heads for one in layers) / len(layers), width)
    tokens = planned_batch_tokens(prepared, device.memory - parameters * width)
    cut = list(batches(prompts, len(cells), Limits(tokens, prepared.job.engine.batch_size)))
    lengths = [len(prompt.tokens) for prompt in prompts]
    return Estimate(
        name=f"{prepared.job.model.name} on {prepared.job.task.name}",
        size=size,
        cells=len(cells),
        examples=len(prompts),
        prefill_tokens=sum(lengths),
        decode_tokens=sum(prompt.steps for prompt in prompts) * len(cells),
        example_bytes=max(len(prompt.tokens) + prompt.steps for prompt in prompts) * per_token,
        batch_bytes=max(MicroBatch(batch, cells).tokens for batch in cut) * per_token,
        prefills=len({cell.id for cell in cells if cell.method.prefill_mask(1) is not None}) + 1,
        prefill_flops=2 * parameters * sum(lengths) + sum(_attention_flops(prepared, n) for n in lengths),
        decoding=[_decoding(prepared, batch) for batch in cut],
    )


def _decoding(prepared: Prepared, batch: Sequence[TaskPrompt]) -> Decoding:
    """The first token of each comes from the prefill."""
    checkpoint = prepared.checkpoint
    typical = round(sum(len(prompt.tokens) for prompt in batch) / len(batch))
    steps = max(prompt.steps for prompt in batch) - 1
    reads = [
        (cell.method.about.access, transfers(cell.method, checkpoint.layers, typical) * checkpoint.bytes_per_element)
        for cell in prepared.plan.cells
    ]
    return Decoding(steps, len(batch), reads)


def multiplied(config: Any, layers: Sequence[LayerShape]) -> float:
    """Weights that a token is multiplied with: attention, the feed-forward layers, the vocabulary; from the shapes."""
    widths = Widths.of(config)
    heads = sum(2 * layer.head_dim * (widths.heads + layer.kv_heads) for layer in layers)
    matrices = 2 if config.model_type in UNGATED else 3
    return float(widths.hidden * (heads + len(layers) * matrices * widths.inner + widths.vocabulary))


def _attention_flops(prepared: Prepared, n: int) -> float:
    """Of a causal prefill of n tokens: half of QK' and of the product with V."""
    config = prepared.checkpoint.config.get_text_config()
    return 2.0 * n * n * float(config.num_attention_heads) * sum(layer.head_dim for layer in prepared.checkpoint.layers)
