"""From a ModelSpec to a model and tokenizer in memory."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from harness.engine.bridge import check_architecture
from harness.errors import InputError
from harness.models.identity import fingerprint_commit, fingerprint_folder
from harness.models.packaged import SCHEME, converted, gguf_in_package
from harness.models.spec import ModelSpec


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model ready to run, its tokenizer, and what identifies its weights."""

    name: str
    model: Any
    tokenizer: Any
    max_length: int
    fingerprint: str


@dataclass(frozen=True)
class Checkpoint:
    """A model whose configuration was read and accepted, but whose weights are not loaded yet."""

    spec: ModelSpec
    path: str
    config: Any

    @property
    def max_length(self) -> int:
        """Positions the model may use."""
        return self.spec.max_length or int(getattr(self.config, "max_position_embeddings", 2048))


def find(spec: ModelSpec) -> Checkpoint:
    """Read the configuration and refuse what cannot be run. Raises InputError; loads no weights."""
    path = _resolve(spec)
    try:
        config = AutoConfig.from_pretrained(path, **_source(spec))
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(f"model '{spec.name}': no usable configuration at {spec.path} ({first_line})") from None
    check_architecture(spec.name, config, lambda: AutoModelForCausalLM.from_config(config))
    return Checkpoint(spec, path, config)


def load(spec: ModelSpec) -> LoadedModel:
    """Load weights and tokenizer. Raises InputError for what cannot be found or run."""
    checkpoint = find(spec)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, **_source(spec))
    model = _weights(checkpoint)
    model.eval().requires_grad_(False)
    return LoadedModel(spec.name, model, tokenizer, checkpoint.max_length, _fingerprint(checkpoint))


def device_of(spec: ModelSpec) -> str:
    """The device a spec asks for; "auto" is CUDA where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if spec.device == "auto" else spec.device


def _weights(checkpoint: Checkpoint) -> Any:
    spec = checkpoint.spec
    dtype = getattr(torch, spec.dtype)
    if spec.random_weights:
        torch.manual_seed(0)
        with torch.device(device_of(spec)):
            return AutoModelForCausalLM.from_config(checkpoint.config, dtype=dtype)
    placement = {"device_map": spec.device_map} if spec.device_map else {}
    model = AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype=dtype, **placement, **_source(spec))
    return model if spec.device_map else model.to(device_of(spec))


def _resolve(spec: ModelSpec) -> str:
    if spec.path.startswith(SCHEME):
        return str(converted(gguf_in_package(spec.path), _convert_gguf))
    return spec.path


def _source(spec: ModelSpec) -> dict[str, Any]:
    optional = {"gguf_file": spec.gguf_file, "revision": spec.revision}
    return {k: v for k, v in optional.items() if v is not None} | {"trust_remote_code": spec.trust_remote_code}


def _convert_gguf(gguf: Path, folder: Path) -> None:
    logging.getLogger(__name__).info("converting %s once to safetensors", gguf.name)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    loaded = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **where)
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    # A model that was read from GGUF refuses to be saved, even dequantised; its twin does not.
    plain = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def _fingerprint(checkpoint: Checkpoint) -> str:
    spec, folder = checkpoint.spec, Path(checkpoint.path)
    if spec.random_weights:
        return hashlib.sha256(f"random weights {checkpoint.config.to_json_string()}".encode()).hexdigest()[:16]
    if folder.is_dir():
        return fingerprint_folder(folder)
    return fingerprint_commit(spec.path, str(checkpoint.config._commit_hash))
