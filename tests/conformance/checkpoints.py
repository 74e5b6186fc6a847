"""Writes the folder of a model, a tokenizer and a setting, which hf and we are both given."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from conformance.models import COMMON, MODELS
from conformance.settings import SETTINGS
from conformance.spelling import tokenizer

SPREAD = 0.1
"""Standard deviation of what is added to scales and biases, which begin as ones and zeros."""


@functools.cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="conformance-"))


@functools.cache
def _weights(model: str) -> Path:
    """Save a model without a tokenizer, every parameter random, from seed 0."""
    torch.manual_seed(0)
    tiny, folder = MODELS[model], _root() / f"model-{len(list(_root().iterdir()))}"
    config = AutoConfig.for_model(tiny.kind, **{**COMMON, **tiny.settings})
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    made = kind.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter.add_(SPREAD * torch.randn_like(parameter))
    made.save_pretrained(folder)
    return folder


@functools.cache
def checkpoint(model: str, spelling: str, setting: str | None = None) -> Path:
    """Write a checkpoint, once."""
    weights = _weights(model)
    folder = _root() / f"checkpoint-{len(list(_root().iterdir()))}"
    shutil.copytree(weights, folder)
    tokenizer(spelling).save_pretrained(folder)
    if setting is not None:
        stored, config = SETTINGS[setting].stored, SETTINGS[setting].config
        if stored is None:
            (folder / "generation_config.json").unlink()
        else:
            _lay_over(folder / "generation_config.json", dict(stored))
        _lay_over(folder / "config.json", dict(config))
    return folder


def _lay_over(file: Path, values: dict[str, Any]) -> None:
    """Replace keys of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
