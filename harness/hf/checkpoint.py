"""Takes a ModelSpec to a configuration, a tokenizer and, last, the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from harness.attention import LayerShape, Rope
from harness.engine import Prompt
from harness.engine.device import find_device
from harness.errors import InputError
from harness.hf.architecture import Architecture, inspect_architecture
from harness.hf.configuration import read_configuration
from harness.hf.fingerprint import fingerprint
from harness.hf.folder import check_borrowed, check_folder, check_no_adapter
from harness.hf.generation import Generation, read_generation
from harness.hf.hub import pinned
from harness.hf.inputs import inputs_refusal
from harness.hf.placement import check_placing
from harness.hf.projections import weights_refusal
from harness.hf.quantised import check_quantised
from harness.hf.random_weights import random_model
from harness.hf.resolve import resolved
from harness.hf.rope import check_no_turn, check_reach, turning_point
from harness.hf.rotary import Ropes, find_ropes
from harness.hf.spec import ModelSpec
from harness.hf.tokenizer import load_tokenizer
from harness.hf.trial import takes_mixed_lengths
from harness.hf.vetting.files import check_amount
from harness.hf.vetting.weights import check_held
from harness.hf.weights import held_by, pretrained

DEFAULT_POSITIONS = 2048


@dataclass(frozen=True)
class Checkpoint:
    """Holds a model whose configuration was read and accepted. Weights are loaded when asked for, not before.

    Without `mixed_lengths`, only rows of one length may share a forward pass. `place` names the device among those that
    the specification leaves open. `numbers` counts those of the weights that the configuration describes.
    """

    spec: ModelSpec
    path: str
    config: Any
    layers: tuple[LayerShape, ...]
    mixed_lengths: bool = True
    place: str | None = None
    numbers: int = 0

    @property
    def max_length(self) -> int:
        """Count the positions that the model may use."""
        text = self.config.get_text_config()
        return self.spec.max_length or int(getattr(text, "max_position_embeddings", DEFAULT_POSITIONS))

    @property
    def bytes_per_element(self) -> int:
        """Count the bytes of a cached number."""
        return int(getattr(torch, self.spec.dtype).itemsize)

    @property
    def device(self) -> str:
        """Name the device that the model runs on."""
        return self.place or find_device(self.spec.device)

    def tokenizer(self) -> Any:
        """Load the checkpoint's tokenizer, or the one that it borrows. Raises InputError."""
        path, revision, gguf = self._tokenizer_source()
        optional = {"revision": revision, "gguf_file": gguf, "trust_remote_code": self.spec.trust_remote_code}
        given = {name: value for name, value in optional.items() if value is not None}
        return load_tokenizer(self.spec.name, path, given, self.config.get_text_config().vocab_size)

    def check(self, prompts: Iterable[Prompt]) -> None:
        """Raise InputError for a prompt at whose lengths this model has no numbers that are right."""
        turn = turning_point(self.config, self.max_length)
        for prompt in (prompt for prompt in prompts if prompt.forced is None):
            check_no_turn(self.spec.name, turn, len(prompt.tokens), len(prompt.tokens) + prompt.steps - 1)

    def ropes(self) -> tuple[Rope | None, ...]:
        """Find the rotary embedding of each layer; None where there is none that holds at all lengths asked for.

        It tries a small copy, once per process: a matter of seconds, without weights.
        """
        return self._ropes().layers

    def rope_refusal(self) -> str | None:
        """Say in a sentence why a layer has no rotary embedding that a method could use; None if all have one."""
        refusal = self._ropes().refusal
        return refusal and f"model '{self.spec.name}': {refusal}"

    def weights_refusal(self, plain: bool) -> str | None:
        """Say in a sentence why the weights of K and V cannot be changed; `plain`: or cached keys not be projected."""
        refusal = weights_refusal(self.config, plain, self.spec.trust_remote_code)
        return refusal and f"model '{self.spec.name}': {refusal}"

    def inputs_refusal(self) -> str | None:
        """Say in a sentence why the hidden states that enter attention cannot be read; None if they can."""
        refusal = inputs_refusal(self.config, self.spec.trust_remote_code)
        return refusal and f"model '{self.spec.name}': {refusal}"

    def generation(self) -> Generation:
        """Read what the checkpoint says of generation. Raises InputError."""
        return read_generation(self.spec.name, self.path, self.config, self.spec.revision)

    def load(self) -> Any:
        """Load the model, ready for inference on its device."""
        if self.spec.random_weights:
            where = self.device, self.spec.device_map
            model = random_model(self.spec.name, self.config, getattr(torch, self.spec.dtype), *where)
        else:
            self.check_weights()
            model = pretrained(self.spec, self.path, self.config, self.device)
        return model.eval().requires_grad_(False)

    def check_weights(self) -> None:
        """Raise InputError for weights that are damaged, or far from what the configuration describes.

        Only headers are read; weights on the hub are brought into its cache.
        """
        check_held(self.spec.name, self.numbers, held_by(self.spec, self.path, self.config))

    def fingerprint(self) -> str:
        """Hash the identity of weights and configuration."""
        if self.spec.random_weights:
            return hashlib.sha256(f"random by weight {self.config.to_json_string()}".encode()).hexdigest()[:16]
        return fingerprint(self.path, weights=True, revision=self.spec.revision, also=self.spec.gguf_file)

    def tokenizer_fingerprint(self) -> str:
        """Hash the identity of the tokenizer, chat templates included, borrowed or not."""
        path, revision, gguf = self._tokenizer_source()
        return fingerprint(path, weights=False, revision=revision, also=gguf)

    def _ropes(self) -> Ropes:
        widths, dtype = [layer.head_dim for layer in self.layers], getattr(torch, self.spec.dtype)
        return find_ropes(self.config, widths, self.max_length, dtype, self.spec.trust_remote_code)

    def _tokenizer_source(self) -> tuple[str, str | None, str | None]:
        """Return path, revision and GGUF file of the tokenizer; the last two are the model's, not a borrowed one's."""
        if self.spec.tokenizer:
            path = resolved(self.spec.tokenizer)
            return path, pinned(self.spec.name, path, None), None
        return self.path, self.spec.revision, self.spec.gguf_file


def find(spec: ModelSpec) -> Checkpoint:
    """Read the configuration and refuse what cannot be run. Raises InputError; loads no weights."""
    device = find_device(spec.device)
    check_placing(spec.name, spec.device_map)
    path = resolved(spec.path, spec.sha256, spec.license)
    check_folder(spec, path)
    if spec.tokenizer:
        check_borrowed(spec.name, resolved(spec.tokenizer))
    spec = replace(spec, revision=pinned(spec.name, path, spec.revision))
    check_no_adapter(spec, path)
    config = read_configuration(spec, path)
    check_quantised(spec.name, config, device)
    architecture = _inspected(spec, path, config)
    mixed_lengths = takes_mixed_lengths(spec.name, config, spec.trust_remote_code)
    found = Checkpoint(spec, path, config, architecture.layers, mixed_lengths, numbers=architecture.numbers)
    architecture.check_length(spec.name, found.max_length)
    check_reach(spec.name, config, found.max_length)
    return found


def _inspected(spec: ModelSpec, path: str, config: Any) -> Architecture:
    """Find the architecture, and hold it to what a folder has. Raises InputError, before memory is taken for it."""
    local = Path(path).is_dir() and not spec.random_weights
    held = held_by(spec, path, config) if local else None
    tensors = None if held is None else held.tensors
    architecture = inspect_architecture(spec.name, config, spec.trust_remote_code, tensors)
    if not architecture.layers:
        raise InputError(f"model '{spec.name}': its configuration has no attention layer")
    check_held(spec.name, architecture.numbers, held)
    if local:
        check_amount(spec.name, Path(path), architecture.numbers)
    return architecture
