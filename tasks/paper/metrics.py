"""Computes the paper's scores: lm-eval calls each with a document and the model's results."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

_LEADING = re.compile(r"""^[\s"'_.,]+""")
_TRAILING = re.compile(r"""[\s"'_.,]+$""")
_ARTICLE = re.compile(r"^(the|a|an) ")


def match(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score 1 if the output starts with a gold answer, else 0."""
    return {"match": float(starts_with_answer(results[0], doc["answers"]))}


def match_is_settled(doc: Mapping[str, Any], beginning: str) -> bool:
    """Say if all outputs that begin so have the same `match`: an answer is there, or none can come any more."""
    text = _LEADING.sub("", beginning.lower())
    may_be_article = any(f"{article} ".startswith(text) for article in ("the", "a", "an"))
    if may_be_article or "\ufffd" in text:  # half a character may become any
        return False
    rest = _ARTICLE.sub("", text)
    answers = [answer for answer in map(normalise_answer, doc["answers"]) if answer]
    return rest.startswith(tuple(answers)) or not any(answer.startswith(rest) for answer in answers)


def rouge_l(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Compute the ROUGE-L F measure with stemming, 0 to 1."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return {"rougeL": float(scorer.score(doc["reference"], results[0])["rougeL"].fmeasure)}


def matched_characters(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Count the characters repeated before the first mistake, by the rule that the document names.

    Without a mistake the authors count the whole reference, however short the output is; "repaired" counts the output.
    """
    if doc["rule"] == "repaired":
        return {"match_characters_repaired": float(common_prefix_length(results[0], doc["reference"]))}
    return {"match_characters": float(length_of_match(results[0], doc["reference"]))}


def bits_per_character(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Compute the negative log2 likelihood of the reference per character."""
    return {"bits_per_character": -results[0][0] / math.log(2) / len(doc["reference"])}


def normalise_answer(text: str) -> str:
    """Lower the case, strip whitespace, quotes and `_.,` at the start, then one article, then the same at the end."""
    return _TRAILING.sub("", _ARTICLE.sub("", _LEADING.sub("", text.lower())))


def starts_with_answer(output: str, answers: Iterable[str]) -> bool:
    """Say if the output begins with any non-empty answer, both normalised: the paper's `match`."""
    normal = [normalise_answer(answer) for answer in answers]
    return normalise_answer(output).startswith(tuple(answer for answer in normal if answer))


def length_of_match(output: str, reference: str) -> int:
    """Count as the paper's authors do: all of the reference, leading whitespace apart, where no character differs."""
    matched, whole = common_prefix_length(output, reference), len(reference.lstrip())
    return whole if matched == min(len(output.lstrip()), whole) else matched


def common_prefix_length(output: str, reference: str) -> int:
    """Count the characters that match before the first difference, leading whitespace stripped from both."""
    output, reference = output.lstrip(), reference.lstrip()
    pairs = zip(output, reference, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(output), len(reference)))
