"""Judges what a model's configuration says before anybody acts on it: sizes without measure, and code to be loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import InputError
from harness.hf.vetting.json_files import MOST_LEVELS, walk

LISTED = re.compile(r"^(?!.*(vocab|size)).*(layer|label|depth|block|stage|expert|branch|modul)")
"""Names of counts for each of which configurations make an entry of a list, before there is a model."""
MOST_LISTED = 2**16
MOST = 2**53
"""Of any whole number: larger ones are not the same to every reader of JSON."""
CODE = frozenset(
    """attn_implementation _attn_implementation _attn_implementation_internal experts_implementation
    _experts_implementation _experts_implementation_internal fusion_config kernel_config use_kernels
    distributed_config""".split()
)
"""Keys that choose which code computes: a kernel of the hub by its name, or another module in place of the model's."""
INNER_CODE = CODE | {"auto_map"}
"""Keys that do so inside another object; at the top, transformers asks for trust before it follows auto_map."""


def check_settings(name: str, settings: Mapping[str, Any], file: str = "config.json") -> None:
    """Raise InputError, naming the key, for numbers of which nothing could be made, or far too much."""
    for level, key, value in walk(settings):
        if level > MOST_LEVELS:
            raise InputError(f"model '{name}': its {file} has more than {MOST_LEVELS} levels: mend it")
        why = _immoderate(key.rpartition(".")[2], value)
        if why:
            raise InputError(f"model '{name}': its {file} says {key}={value!r:.40}, {why}: mend it")


def _immoderate(key: str, value: Any) -> str | None:
    """Say what is wrong with a number of this name; None if nothing is, or if it is none."""
    if isinstance(value, float) and math.isnan(value):
        return "which is no number"
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        return None
    if abs(value) > MOST and isinstance(value, int):
        return f"which is more than {MOST:,}"
    if abs(value) > MOST_LISTED and LISTED.search(key):
        return f"which is more than {MOST_LISTED:,}"
    return None


def forget_code(settings: dict[str, Any], keys: frozenset[str] = CODE) -> None:
    """Take away, in place and at every level, what chooses the code that computes.

    `settings` are those of an object or the attributes of a configuration, which may hold further ones.
    """
    for key in keys & settings.keys():
        if key.endswith("_internal"):
            settings[key] = None  # an attribute that is always there
        else:
            del settings[key]
    for value in settings.values():
        for inner in _inner(value):
            forget_code(inner, INNER_CODE)


def _inner(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the settings that a value holds: an object's, a configuration's, or those of each in a list."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _inner(one)
    elif hasattr(value, "to_dict"):
        yield vars(value)
