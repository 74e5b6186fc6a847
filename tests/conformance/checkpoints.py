"""Writes the folder of a model, a tokenizer and a setting, which hf and we are both given."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import torch
import transformers

from conformance.forms import FORMS, lay_over
from conformance.models import ARCHITECTURES
from conformance.settings import SETTINGS
from conformance.spelling import HABITS, tokenizer
from conformance.tiny import Tiny

MODELS = {**ARCHITECTURES, **FORMS}
SPREAD = 0.1
"""Standard deviation of what is added to scales and biases, which begin as ones and zeros."""


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="checkpoint-", dir=_root()))


@functools.cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="conformance-"))


def write_model(tiny: Tiny, folder: Path) -> Path:
    """Save a model without a tokenizer, every parameter random, from seed 0."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(tiny.kind, **tiny.settings)
    made = getattr(transformers, tiny.head).from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter.add_(SPREAD * torch.randn_like(parameter))
    made.save_pretrained(folder)
    tiny.finish(folder)
    return folder


@functools.cache
def _weights(model: str) -> Path:
    return write_model(MODELS[model], _new_folder())


@functools.cache
def checkpoint(model: str, spelling: str, setting: str | None = None) -> Path:
    """Write a checkpoint, once."""
    folder = _new_folder()
    shutil.copytree(_weights(model), folder, dirs_exist_ok=True)
    if not HABITS[spelling].missing:
        tokenizer(spelling).save_pretrained(folder)
    if setting is not None:
        stored, config = SETTINGS[setting].stored, SETTINGS[setting].config
        if stored is None:
            (folder / "generation_config.json").unlink()
        else:
            lay_over(folder / "generation_config.json", **stored)
        lay_over(folder / "config.json", **config)
    return folder
