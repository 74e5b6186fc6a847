"""Reads the settings of a generation by their names: each is honoured as lm-eval's hf backend does, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.engine import Rule, Sampling
from harness.errors import InputError

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names that bound the new tokens; the first of them that is given counts."""
DEFAULT_LENGTH = 256
DEFAULT_TOP_K = 50
"""Of transformers, where neither the task nor the checkpoint says."""
INERT: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "penalty_alpha": (0,),
    "guidance_scale": (1,),
    "encoder_repetition_penalty": (1,),
    "diversity_penalty": (0,),
    "token_healing": (False,),
    "remove_invalid_values": (False,),
    "bad_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "stop_strings": ([],),
    **dict.fromkeys(("max_length", "max_time", "sequence_bias", "watermarking_config", "dola_layers"), ()),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty"), ()),
    **dict.fromkeys(("constraints", "force_words_ids", "prompt_lookup_num_tokens", "custom_generate"), ()),
}
"""Settings of transformers that would change a generation and are not honoured, each with the values that do not."""
IDLE = frozenset({"use_cache", "length_penalty", "early_stopping", "renormalize_logits", "low_memory", "pad_token_id"})
"""Settings that change no text where there is one beam."""
WARPERS: Mapping[str, tuple[Any, ...]] = {"typical_p": (1,), "epsilon_cutoff": (0,), "eta_cutoff": (0,), "top_h": ()}
"""As INERT, of settings that act on sampling alone."""
HONOURED = ("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "min_new_tokens")


@dataclass(frozen=True)
class Asked:
    """Holds how a task wants a text continued: most new tokens, stop strings, and settings of HONOURED by name."""

    max_new: int
    until: tuple[str, ...]
    settings: Mapping[str, float]


def read_settings(given: Mapping[str, Any]) -> Asked:
    """Read a task's generation settings. Raises InputError for one that cannot be honoured."""
    lengths = [given[name] for name in LENGTHS if given.get(name) is not None]
    others = {name: value for name, value in given.items() if name not in (*LENGTHS, "until")}
    samples = _samples(others)
    _refuse_unknown(others)
    refuse_unhonoured(others, samples)
    kept = {name: others[name] for name in HONOURED[1:] if others.get(name) is not None}
    if not samples:
        kept = {name: value for name, value in kept.items() if name in ("repetition_penalty", "min_new_tokens")}
    most = _number("max_gen_toks", lengths[0] if lengths else DEFAULT_LENGTH, int)
    numbers = {name: _number(name, value, float) for name, value in kept.items()}
    return Asked(most, _stop_strings(given.get("until")), {"do_sample": 1.0, **numbers} if samples else numbers)


def refuse_unhonoured(settings: Mapping[str, Any], samples: bool) -> None:
    """Raise InputError for a setting that would change the generation and is not honoured here."""
    acting = {**INERT, **WARPERS} if samples else INERT
    for name, value in settings.items():
        if value is not None and name in acting and value not in acting[name]:
            raise InputError(f"the generation setting {name}={value} is not honoured here: {_instead(name)}")


def choose_rule(asked: Mapping[str, float], model: Mapping[str, Any], ends: frozenset[int]) -> Rule | None:
    """Make the rule by which tokens are chosen; None if it is to take the likeliest.

    `asked` are a task's settings as read, `model` those of the checkpoint, which count where the task says nothing, but
    do not make it sample. Raises InputError for one of the checkpoint's that is not honoured.
    """
    samples = "do_sample" in asked
    own_length = {"max_length"}  # over which lm-eval lays a length of the task's
    refuse_unhonoured({name: value for name, value in model.items() if name not in own_length}, samples)
    found = {**{name: model[name] for name in HONOURED[2:] if model.get(name) is not None}, **asked}
    sampling = Sampling(
        temperature=asked.get("temperature", 1.0),
        top_k=int(found.get("top_k", DEFAULT_TOP_K)),
        top_p=float(found.get("top_p", 1)),
        min_p=float(found.get("min_p", 0)),
    )
    rule = Rule(
        repetition_penalty=float(found.get("repetition_penalty", 1)),
        at_least=int(found.get("min_new_tokens", 0)),
        ends=ends if found.get("min_new_tokens") else frozenset(),
        sampling=sampling if samples else None,
    )
    return None if rule == Rule() else rule


def _samples(given: Mapping[str, Any]) -> bool:
    """Say if tokens are drawn: where do_sample is not given, a temperature above 0 says so."""
    asked, temperature = given.get("do_sample"), _number("temperature", given.get("temperature") or 0, float)
    if not isinstance(asked, bool | None):
        raise InputError(f"the generation setting do_sample={asked!r} must be true or false")
    if asked and not temperature > 0:
        raise InputError("the generation setting do_sample=true needs a temperature above 0, such as temperature=1")
    return temperature > 0 if asked is None else asked


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    known = {*HONOURED, *INERT, *WARPERS, *IDLE}
    for name in given:
        if name not in known:
            raise InputError(f"the generation setting {name}={given[name]} is not known here: {_instead(name)}")


def _instead(name: str) -> str:
    """Say what to do about a setting."""
    if name == "max_length":
        return "set max_gen_toks, which counts new tokens alone"
    if name in ("stop_strings", "stop"):
        return "set until"
    return f"remove it, or choose from {', '.join((LENGTHS[0], 'until', *HONOURED))}"


def _stop_strings(until: Any) -> tuple[str, ...]:
    """List the stop strings in their order."""
    listed: Iterable[Any] = [until] if isinstance(until, str) else until or []
    found = tuple(listed)
    for stop in found:
        if not isinstance(stop, str):
            raise InputError(f"the generation setting until={until!r} must be a text or a list of texts")
    return found


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    """Return the value as a number of a kind. Raises InputError if it is none."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise InputError(f"the generation setting {name}={value!r} must be a number") from None
