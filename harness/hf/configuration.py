"""Reads a checkpoint's configuration, and takes out of it what would choose code to run."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from harness.errors import InputError, first_line
from harness.hf.located import Located
from harness.hf.spec import ModelSpec
from harness.hf.vetting.json_files import read_object
from harness.hf.vetting.settings import check_settings, forget_code
from harness.hf.weights import source

FILE = "config.json"


def read_configuration(spec: ModelSpec, path: str) -> Any:
    """Return transformers' configuration of a checkpoint. Raises InputError for one of which nothing can be made.

    Unless code of the model is trusted, kernels and modules that it names are forgotten: attention is the engine's.
    """
    try:
        config = _of_gguf(spec, path) if spec.gguf_file else _of_json(spec, path)
    except InputError:
        raise
    except Exception as error:  # foreign configuration code fails in its own ways
        raise InputError(f"model '{spec.name}': no usable configuration at {spec.path} ({first_line(error)})") from None
    if not spec.trust_remote_code:
        forget_code(vars(config))
    return config


def _of_json(spec: ModelSpec, path: str) -> Any:
    check_configuration(spec.name, Located(path, spec.revision))
    return AutoConfig.from_pretrained(path, **source(spec))


def _of_gguf(spec: ModelSpec, path: str) -> Any:
    """Make the configuration of a GGUF file as transformers does, but read the file once: it takes seconds."""
    settings = _settings(path, source(spec))
    check_settings(spec.name, settings, str(spec.gguf_file))
    return AutoConfig.for_model(**settings, name_or_path=path)


def check_configuration(name: str, files: Located) -> None:
    """Raise InputError for a config.json that is there and no plain object of moderate numbers."""
    if (file := files.find(FILE)) is None:
        return
    read_object(name, file)
    try:
        settings = _settings(files.path, {"revision": files.revision})
    except Exception as error:  # it may name another file
        raise InputError(f"model '{name}': its {FILE} cannot be followed ({first_line(error)}): mend it") from None
    check_settings(name, settings)


def _settings(path: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a configuration's file says, or the one that it names in place of itself for this version."""
    settings, _ = PreTrainedConfig.get_config_dict(path, **given)
    return dict(settings)
