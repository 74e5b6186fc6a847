"""Asks questions several times where tokens are drawn, and sums the repeats up: avg@N, and pass@k without bias."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.errors import InputError
from harness.evaluation.requests import Request
from harness.evaluation.scores import Metric, Score, Scored

Round = list[Request]
"""The requests of one repeat, in the order of the questions."""
Scale = tuple[str, str]
"""A metric: the task or group in whose table it stands, and its name."""


def rounds(questions: Sequence[Request], repeats: int, seed: int) -> list[Round]:
    """List the requests of every repeat: each that draws tokens has random numbers of its own, others are the same.

    Raises InputError for repeats of a task that draws none, or that its own YAML repeats.
    """
    if repeats > 1:
        _check_repeatable(questions)
    return [[question.again(seed, question.repeat + i) for question in questions] for i in range(repeats)]


def distinct(of_rounds: Sequence[Round]) -> list[Request]:
    """List all requests once, those of one question together."""
    every = (request for of_question in zip(*of_rounds, strict=True) for request in of_question)
    return list({request.key: request for request in every}.values())


def sum_up(by_cell: Mapping[str, Sequence[Scored]]) -> dict[str, Scored]:
    """Sum up the scores of every cell's repeats; those of a single one stand as they are.

    A metric becomes its mean over the repeats, "NAME avg@N". One of which more is better and that is 0 or 1 of every
    output of every cell also becomes "NAME pass@k" for k = 2, 4, ... up to N.
    """
    every = (score for repeats in by_cell.values() for one in repeats for score in one.scores)
    graded = {_scale(score) for score in every if score.value not in (0, 1)}
    return {cell: repeats[0] if len(repeats) == 1 else _sum_up(repeats, graded) for cell, repeats in by_cell.items()}


def pass_at(k: int, correct: int, n: int) -> float:
    """Estimate without bias how likely one of k outputs is correct, where `correct` of n are (arXiv 2107.03374)."""
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def _check_repeatable(questions: Sequence[Request]) -> None:
    drawing = {question.task for question in questions if question.draws}
    for question in questions:
        if question.task not in drawing:
            raise InputError(
                f"repeats > 1 of task {question.task} would all be the same, it draws no tokens: set "
                "task.gen_kwargs={do_sample:true,temperature:0.6}, or repeats=1"
            )
        if question.repeat:
            raise InputError(
                f"task {question.task} repeats its questions itself (`repeats` in its YAML): set repeats=1"
            )


def _sum_up(repeats: Sequence[Scored], graded: set[Scale]) -> Scored:
    values: dict[Score, list[float]] = defaultdict(list)
    for one in repeats:
        for score in one.scores:
            values[replace(score, value=0.0)].append(score.value)
    direction = {(metric.task, metric.name): metric.higher_is_better for metric in repeats[0].metrics}
    passing = {scale for scale, better in direction.items() if better and scale not in graded}
    scores = [score for blank, of in values.items() for score in _scores(blank, of, _scale(blank) in passing)]
    return Scored(scores, [metric for name in direction for metric in _metrics(name, repeats, scores, name in passing)])


def _scores(blank: Score, values: Sequence[float], passing: bool) -> Iterator[Score]:
    """Score one example by one metric over its repeats."""
    n = len(values)
    yield replace(blank, metric=f"{blank.metric} avg@{n}", value=sum(values) / n)
    for k in _chances(n) if passing else ():
        yield replace(blank, metric=f"{blank.metric} pass@{k}", value=pass_at(k, round(sum(values)), n))


def _metrics(scale: Scale, repeats: Sequence[Scored], scores: Sequence[Score], passing: bool) -> Iterator[Metric]:
    """Describe what a metric became: its aggregate is the mean of the repeats' own, or the mean of pass@k."""
    task, name = scale
    same = [metric for one in repeats for metric in one.metrics if (metric.task, metric.name) == scale]
    aggregate = sum(metric.aggregate for metric in same) / len(same)
    n = len(repeats)
    yield replace(same[0], name=f"{name} avg@{n}", aggregate=aggregate, is_mean=all(metric.is_mean for metric in same))
    for k in _chances(n) if passing else ():
        label = f"{name} pass@{k}"
        values = [score.value for score in scores if _scale(score) == (task, label)]
        yield replace(same[0], name=label, aggregate=sum(values) / len(values), is_mean=True)


def _chances(n: int) -> list[int]:
    """List the k of pass@k: 2, 4, ... and n itself."""
    return sorted({*(2**i for i in range(1, n.bit_length()) if 2**i <= n), n})


def _scale(score: Score) -> Scale:
    return score.group or score.task, score.metric
