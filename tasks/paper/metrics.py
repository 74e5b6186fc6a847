"""The paper's scores. lm-eval calls each with a document and the model's results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from harness.data.texts import common_prefix_length, starts_with_answer


def match(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if the output starts with a gold answer."""
    return {"match": float(starts_with_answer(results[0], doc["answers"]))}


def rouge_l(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """ROUGE-L F measure with stemming, 0 to 1."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return {"rougeL": float(scorer.score(doc["reference"], results[0])["rougeL"].fmeasure)}


def matched_characters(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Characters repeated before the first mistake."""
    return {"match_characters": float(common_prefix_length(results[0], doc["reference"]))}


def bits_per_character(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Negative log2 likelihood of the reference per character."""
    return {"bits_per_character": -results[0][0] / math.log(2) / len(doc["reference"])}
