"""Finds the presses of an installed kvpress that can be run by compress() alone, and makes one of its name.

kvpress is no dependency: its own would take transformers back to an older release.
"""

from __future__ import annotations

import ast
import inspect
import logging
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from harness.attention.compressor import Compressor
from harness.errors import InputError, first_line
from harness.hf.attention_functions import kept_attention_functions

INSTALL = "pip install --no-deps kvpress==0.5.5 'cachetools<6' fire termcolor"
RATIO = "compression_ratio"
BARRED = {
    "LUKVPress": "loads what was learnt of a model beforehand",
    "ObservedAttentionPress": "needs whole matrices of attention weights",
    "ThinKPress": "sets channels of keys to zero, which removes no token and would count as nothing saved",
}
"""Presses whose code alone does not say why they cannot be run here."""


@cache
def package() -> Any:
    """Import kvpress, without what it does to transformers. Raises InputError where it is not installed."""
    try:
        with kept_attention_functions(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import kvpress
    except ImportError as error:
        raise InputError(f"kvpress cannot be imported ({first_line(error)}): {INSTALL}") from None
    logging.getLogger(kvpress.__name__).setLevel(logging.ERROR)
    return kvpress


def make_press(compressor: Compressor) -> Any:
    """Make a fresh press, with those that it wraps. Raises InputError for what is unknown, unfit or does not fit."""
    classes = [_find(name) for name in compressor.press.split("/")]
    options = _by_class(compressor, classes)
    press: Any = None
    for at, cls in reversed(list(enumerate(classes))):
        inner = {} if press is None else {"press": press}
        try:
            press = cls(**inner, **options[at])
        except Exception as error:  # presses check their arguments in their own ways
            raise InputError(f"{cls.__name__} refuses its options: {first_line(error)}") from None
    return press


def _find(name: str) -> Any:
    """Return a press by its name. Raises InputError for an unknown one, and for one that cannot be run here."""
    known = {one: vars(package())[one] for one in package().__all__ if _is_press(vars(package())[one])}
    if name not in known:
        fit = [one for one, cls in known.items() if _why_unfit(cls) is None]
        raise InputError(f"kvpress has no press '{name}': choose from {', '.join(sorted(fit))}")
    if why := _why_unfit(known[name]):
        raise InputError(f"{name} {why}, so it cannot be run at the end of a prompt: choose another press")
    return known[name]


def _is_press(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, package().BasePress)


def _why_unfit(cls: Any) -> str | None:
    """Say what a press does besides compressing the cache of a prompt that it is handed; None if that is all."""
    base, scorer = package().BasePress, package().ScorerPress
    if cls.__name__ in BARRED:
        return BARRED[cls.__name__]
    if cls.forward_hook is not base.forward_hook or cls.__call__ is not base.__call__:
        return "acts in hooks or passes of its own"
    if cls.post_init_from_model is not base.post_init_from_model and "press" not in _parameters(cls):
        return "loads what was learnt of a model beforehand"
    if cls.compress is base.compress or getattr(cls, "score", None) is scorer.score:
        return "is only what other presses are made of"
    return None


def _by_class(compressor: Compressor, classes: list[Any]) -> list[dict[str, Any]]:
    """Give every option to the first press that has it, and the ratio to the one that is told it. Raises InputError."""
    found: list[dict[str, Any]] = [{} for _ in classes]
    for at, cls in enumerate(classes):
        wraps, last = "press" in _parameters(cls), at == len(classes) - 1
        if wraps == last:
            does = "wraps another press: name it behind a slash, as in" if wraps else "wraps no other press: name it as"
            example = f"{cls.__name__}/KnormPress" if wraps else cls.__name__
            raise InputError(f"{cls.__name__} {does} {example}")
    for name, value in _parsed(compressor.options).items():
        takers = [at for at, cls in enumerate(classes) if name in _parameters(cls) and name not in ("press", RATIO)]
        if not takers:
            known = sorted({one for cls in classes for one in _parameters(cls)} - {"press", RATIO})
            raise InputError(f"{compressor.press} has no option '{name}': choose from {', '.join(known) or 'none'}")
        found[takers[0]][name] = value
    told = [at for at, cls in enumerate(classes) if RATIO in _parameters(cls)]
    if not told and compressor.ratio:
        raise InputError(f"{compressor.press} removes what its options say: set ratio=0, and what is left is measured")
    if told:
        found[told[-1]][RATIO] = compressor.ratio
    return found


def _parameters(cls: Any) -> Mapping[str, Any]:
    """Return what a press is made with, private arguments apart."""
    found = inspect.signature(cls).parameters
    return {name: parameter for name, parameter in found.items() if not name.startswith("_")}


def _parsed(options: str) -> dict[str, Any]:
    """Read "window_size=32, kernel_size=7": numbers, true and false, null, and else text."""
    words = {"true": True, "false": False, "null": None}
    pairs = (pair.split("=") for pair in options.split(",") if pair.strip())
    return {name.strip(): words[value.strip()] if value.strip() in words else _literal(value) for name, value in pairs}


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return value.strip()
