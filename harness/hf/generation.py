"""Reads what a checkpoint says of generation: which tokens end a text, and what else changes what is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import GenerationConfig

from harness.errors import InputError, first_line
from harness.hf.located import Located
from harness.hf.vetting.json_files import read_object
from harness.hf.vetting.settings import check_settings

FILE = "generation_config.json"


@dataclass(frozen=True)
class Generation:
    """Holds ids of the tokens that end a text, and settings of generation that differ from what does nothing."""

    ends: frozenset[int] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)


NOTHING = Generation()
"""Of a checkpoint that says nothing."""


def read_generation(name: str, path: str, config: Any, revision: str | None = None) -> Generation:
    """Read the checkpoint's generation_config.json, or what transformers makes of its config.json without one.

    The ends of text are those of both files. Raises InputError for a file that cannot be read.
    """
    optional = {} if revision is None else {"revision": revision}
    there = Located(path, revision).find(FILE)
    try:
        if there is None:
            found = GenerationConfig.from_model_config(config)
        else:
            check_settings(name, read_object(name, there), FILE)
            found = GenerationConfig.from_pretrained(path, **optional)
        ends = {token for one in (found, config, config.get_text_config()) for token in _ids(one)}
        settings = {key: value for key, value in found.to_diff_dict().items() if value is not None}
    except InputError:
        raise
    except Exception as error:  # transformers does not expect every value
        raise InputError(
            f"model '{name}': its {FILE} cannot be read ({first_line(error)}): mend or remove it"
        ) from None
    return Generation(frozenset(ends), settings)


def _ids(config: Any) -> list[int]:
    """List the ids of the tokens that end a text: a configuration holds none, one or several."""
    given = getattr(config, "eos_token_id", None)
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [int(token) for token in listed if token is not None]
