"""From lm-eval's instances to our requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from harness.errors import InputError
from harness.evaluation.requests import Request

NO_RULES: Mapping[str, Any] = MappingProxyType({})


def example_id(doc: Mapping[str, Any], doc_id: int) -> str:
    """The data set's own id of a document, else its position."""
    given = next((doc[key] for key in ("id", "question_id") if key in doc), None)
    return str(doc_id if given is None else given)


def to_request(name: str, task: Any, instance: Any) -> Request:
    """The request of one instance. The paper's rules on lengths and tokens stand in the task's `metadata`.

    So do, under `labels`, the numbers of a document that its rows are to carry.
    """
    rules = task.config.metadata or {}
    labels = {column: float(instance.doc[column]) for column in rules.get("labels", ())}
    return replace(plain_request(name, instance, rules), target=_target(task, instance), labels=labels)


def plain_request(name: str, instance: Any, rules: Mapping[str, Any] = NO_RULES) -> Request:
    """The request of an instance under the rules of a task's `metadata`. Raises InputError for unknown kinds."""
    common: dict[str, Any] = {"task": name, "example": example_id(instance.doc, instance.doc_id)}
    common["reserve"] = int(rules.get("reserve", 0))
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
    context, asked = instance.args[:2]
    if asked.get("do_sample") and float(asked.get("temperature", 1)) > 0:
        raise InputError(f"task {common['task']} samples; decoding here is greedy: set do_sample: false in its YAML")
    until = asked.get("until") or []
    length = rules.get("new_tokens")
    reference = instance.doc[length["of"]] if length else []
    return Request(
        kind="generate",
        context=context,
        max_new=int(length["at_most"] if length else asked.get("max_gen_toks", asked.get("max_new_tokens", 256))),
        until=(until,) if isinstance(until, str) else tuple(until),
        length_of=(reference,) if isinstance(reference, str) else tuple(reference),
        length_plus=int(length["plus"]) if length else 0,
        **common,
    )


def _target(task: Any, instance: Any) -> str:
    target = task.doc_to_target(instance.doc)
    return " | ".join(map(str, target)) if isinstance(target, list) else str(target)
