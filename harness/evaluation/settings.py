"""Reads the settings of a generation by their names: each is honoured as lm-eval's hf backend does, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine import Rule, Sampling
from harness.errors import InputError
from harness.evaluation.setting_names import HONOURED, IDLE, INERT, LEAST_AND_MOST, LENGTHS, WARPERS, WHOLE

DEFAULT_LENGTH = 256
DEFAULT_TOP_K = 50
"""Of transformers, where neither the task nor the checkpoint says."""
OF_TASK = "it asks for"
OF_MODEL = "the checkpoint's generation_config.json sets"


@dataclass(frozen=True)
class Asked:
    """Holds how a task wants a text continued: most new tokens, stop strings, and settings of HONOURED by name."""

    max_new: int
    until: tuple[str, ...]
    settings: Mapping[str, float]


def read_settings(given: Mapping[str, Any]) -> Asked:
    """Read a task's generation settings. Raises InputError for one that cannot be honoured."""
    lengths = [given[name] for name in LENGTHS if given.get(name) is not None]
    others = {name: value for name, value in given.items() if name not in (*LENGTHS, "until") and value is not None}
    for name, value in others.items():
        if name not in (*HONOURED, *INERT, *WARPERS, *IDLE):
            raise InputError(f"{OF_TASK} {name}={value}, which is no setting of a generation: {_instead(name)}")
    samples = _samples(others)
    _refuse_unhonoured(others, samples, OF_TASK)
    most = _number("max_gen_toks", lengths[0] if lengths else DEFAULT_LENGTH, OF_TASK)
    return Asked(int(most), _stop_strings(given.get("until")), _honoured(others, samples, OF_TASK))


def choose_rule(asked: Mapping[str, float], model: Mapping[str, Any], ends: frozenset[int]) -> Rule | None:
    """Make the rule by which tokens are chosen; None if it is to take the likeliest.

    `asked` are a task's settings as read, `model` those of the checkpoint, which count where the task says nothing, but
    do not make it sample. Raises InputError for one of the checkpoint's that is not honoured.
    """
    samples = "do_sample" in asked
    own = {name: value for name, value in model.items() if name not in asked and value is not None}
    own.pop("max_length", None)  # over which lm-eval lays a length of the task's
    _refuse_unhonoured(own, samples, OF_MODEL)
    found = {**_honoured(own, samples, OF_MODEL), **asked}
    sampling = Sampling(
        temperature=asked.get("temperature", 1.0),
        top_k=int(found.get("top_k", DEFAULT_TOP_K)),
        top_p=found.get("top_p", 1.0),
        min_p=found.get("min_p", 0.0),
    )
    rule = Rule(
        repetition_penalty=found.get("repetition_penalty", 1.0),
        at_least=int(found.get("min_new_tokens", 0)),
        ends=ends if found.get("min_new_tokens") else frozenset(),
        sampling=sampling if samples else None,
    )
    return None if rule == Rule() else rule


def _samples(given: Mapping[str, Any]) -> bool:
    """Say if tokens are drawn: where do_sample is not given, a temperature above 0 says so."""
    asked, temperature = given.get("do_sample"), _number("temperature", given.get("temperature", 0), OF_TASK)
    if not isinstance(asked, bool | None):
        raise InputError(f"{OF_TASK} do_sample={asked!r}, which must be true or false")
    if asked and not temperature:
        raise InputError(f"{OF_TASK} do_sample=true without a temperature above 0: set one, such as temperature=1")
    return temperature > 0 if asked is None else asked


def _honoured(given: Mapping[str, Any], samples: bool, whose: str) -> dict[str, float]:
    """Read the settings that have an effect; those of sampling have none where no token is drawn."""
    names = [name for name, acts_always in HONOURED.items() if name in given and (samples or acts_always)]
    found = {name: _number(name, given[name], whose) for name in names if name != "do_sample"}
    return {"do_sample": 1.0, **found} if samples else found


def _refuse_unhonoured(settings: Mapping[str, Any], samples: bool, whose: str) -> None:
    """Raise InputError for a setting that would change the generation and is not honoured here."""
    acting = {**INERT, **WARPERS} if samples else INERT
    for name, value in settings.items():
        if name in acting and value not in acting[name]:
            instead = _instead(name) if whose == OF_TASK else "remove it there"
            raise InputError(f"{whose} {name}={value}, which is not honoured here: {instead}")


def _instead(name: str) -> str:
    """Say what to do about a setting."""
    if name == "max_length":
        return "set max_gen_toks, which counts new tokens alone"
    if name in ("stop_strings", "stop"):
        return "set until"
    return f"remove it, or choose from {', '.join((LENGTHS[0], 'until', *HONOURED))}"


def _stop_strings(until: Any) -> tuple[str, ...]:
    """List the stop strings in their order."""
    found = [until] if isinstance(until, str) else [] if until is None else until
    if not isinstance(found, list | tuple) or not all(isinstance(stop, str) for stop in found):
        raise InputError(f"{OF_TASK} until={until!r}, which must be a text or a list of texts")
    return tuple(found)


def _number(name: str, value: Any, whose: str) -> float:
    """Return the value as a number. Raises InputError if it is none, or outside of what the setting may be."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    least, most = LEAST_AND_MOST[name]
    whole = name in WHOLE
    if not (least <= number <= most and math.isfinite(number)) or (whole and not number.is_integer()):
        kind = "a whole number" if whole else "a number"
        bound = f"of {least:g} or more" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise InputError(f"{whose} {name}={value!r}, which must be {kind} {bound}")
    return number
