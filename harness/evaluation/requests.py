"""Poses a task's questions in text, made from lm-eval's instances."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

from harness.errors import InputError
from harness.evaluation.settings import read_settings

Kind = Literal["generate", "score", "roll"]
NO_RULES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """Poses one question to the model, in text.

    generate: continue `context` by at most `max_new` tokens, until a string of `until` or the end of text. With
    `length_of`, by exactly as many tokens as the longest of these texts has, plus `length_plus`: nothing stops it.
    `settings` are those of HONOURED (harness/evaluation/settings.py) that the task gives; where they draw tokens,
    `seed` and `repeat` choose the random numbers.
    score: likelihood of `continuation` after `context`, tokenised `separately` or together. roll: likelihood of
    `continuation` from the start of text.
    `reserve` positions of the model are kept free when a prompt is cut. With `keeps_special`, a prompt that is cut
    keeps its start token, and the output's text its special tokens. `target` and `labels` (columns of the example's
    rows) are for readers, and `settled` says of an output's beginning whether all that begin so have the same score:
    the answer does not depend on them.
    """

    task: str
    example: str
    kind: Kind
    context: str = ""
    continuation: str = ""
    max_new: int = 0
    until: tuple[str, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict, hash=False)
    length_of: tuple[str, ...] = ()
    length_plus: int = 0
    separately: bool = False
    seed: int = 0
    repeat: int = 0
    reserve: int = 0
    keeps_special: bool = False
    target: str = field(default="", compare=False)
    labels: Mapping[str, float] = field(default_factory=dict, compare=False)
    settled: Callable[[str], bool] | None = field(default=None, compare=False)

    @property
    def draws(self) -> bool:
        """Say if tokens are drawn, so that another repeat gives another answer."""
        return "do_sample" in self.settings

    def again(self, seed: int, repeat: int) -> Request:
        """Return the request of one of its repeats: with other random numbers, where tokens are drawn."""
        return replace(self, seed=seed, repeat=repeat) if self.draws else self

    @cached_property
    def key(self) -> str:
        """Hash all that the answer depends on, apart from model and method."""
        asked = asdict(replace(self, settled=None))
        asked = {name: value for name, value in asked.items() if name not in ("target", "labels", "settled")}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]


def example_id(doc: Mapping[str, Any], doc_id: int) -> str:
    """Return the data set's own id of a document, else its position."""
    given = next((doc[key] for key in ("id", "question_id") if key in doc), None)
    return str(doc_id if given is None else given)


def to_request(name: str, task: Any, instance: Any) -> Request:
    """Make the request of one lm-eval instance under the rules of its task.

    The paper's rules on lengths and tokens stand in the task's `metadata`, and so do, under `labels`, the numbers of a
    document that its rows are to carry, and under `settled` a function of a document and the beginning of an output.
    """
    rules = task.config.metadata or {}
    labels = {column: float(instance.doc[column]) for column in rules.get("labels", ())}
    settled = partial(rules["settled"], instance.doc) if "settled" in rules else None
    return replace(plain_request(name, instance, rules), target=_target(task, instance), labels=labels, settled=settled)


def plain_request(name: str, instance: Any, rules: Mapping[str, Any] = NO_RULES) -> Request:
    """Make the request of an instance under the rules of a task's `metadata`. Raises InputError for unknown kinds."""
    common: dict[str, Any] = {"task": name, "example": example_id(instance.doc, instance.doc_id)}
    common |= {"reserve": int(rules.get("reserve", 0)), "keeps_special": rules.get("special_tokens") == "kept"}
    if instance.request_type == "generate_until":
        return _generate(instance, rules, common)
    if instance.request_type == "loglikelihood":
        context, continuation = instance.args[:2]
        separately = rules.get("encode") == "separately"
        return Request(kind="score", context=context, continuation=continuation, separately=separately, **common)
    if instance.request_type == "loglikelihood_rolling":
        return Request(kind="roll", continuation=instance.args[0], **common)
    raise InputError(f"task {name} asks for {instance.request_type}, which a KV-cache method cannot answer")


def _generate(instance: Any, rules: Mapping[str, Any], common: Mapping[str, Any]) -> Request:
    context, given = instance.args[:2]
    try:
        asked = read_settings(given)
    except InputError as error:
        raise InputError(f"task {common['task']}: {error}") from None
    length = rules.get("new_tokens")
    reference = instance.doc[length["of"]] if length else []
    return Request(
        kind="generate",
        context=context,
        max_new=int(length["at_most"]) if length else asked.max_new,
        until=asked.until,
        settings=asked.settings,
        length_of=(reference,) if isinstance(reference, str) else tuple(reference),
        length_plus=int(length["plus"]) if length else 0,
        **common,
    )


def _target(task: Any, instance: Any) -> str:
    target = task.doc_to_target(instance.doc)
    return " | ".join(map(str, target)) if isinstance(target, list) else str(target)
