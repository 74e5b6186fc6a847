"""Takes the path of a specification to a folder, converted where weights come in a package, or to a name on the hub."""

from __future__ import annotations

import struct
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import InputError, first_line
from harness.hf.packaged import converted, gguf_in_packages
from harness.hf.spec import PACKAGE

SHAPE, SHAPES = "shape:", Path(__file__).with_name("shapes")


def resolved(path: str, sha256: str | None = None, terms: str | None = None) -> str:
    """Return the folder that a path stands for, or the path itself. Raises InputError for a package without weights."""
    if path.startswith(PACKAGE):
        return str(converted(gguf_in_packages(path, sha256, terms), _convert_gguf))
    if path.startswith(SHAPE):
        return str(SHAPES / path.removeprefix(SHAPE))
    return path


def _convert_gguf(gguf: Path, folder: Path) -> None:
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    try:
        loaded = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **where)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except (ValueError, KeyError, IndexError, struct.error) as error:  # the ways in which readers of GGUF fail
        raise InputError(
            f"{gguf.name} is no GGUF file of a model ({first_line(error)}): install its package again"
        ) from None
    if hasattr(loaded.config, "quantization_config"):
        del loaded.config.quantization_config
    # A model that was read from GGUF refuses to be saved, even dequantised; its twin does not.
    plain = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
