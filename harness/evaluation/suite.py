"""Puts the questions of tasks as text, and lets lm-eval score the replies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import lm_eval
from lm_eval.evaluator_utils import get_sample_size

from harness.evaluation.chat import PLAIN, Chat
from harness.evaluation.replay import Place, Replay, Reply
from harness.evaluation.requests import Request, example_id, to_request
from harness.evaluation.scores import Scored, read_scored

FEWSHOT_SEED = 1234  # lm-eval's own default
TYPICAL = 128
"""Examples of a task, its first, that stand for all when knobs are solved."""


class Placed(NamedTuple):
    """Holds a request and its place in lm-eval."""

    request: Request
    place: Place


class Suite:
    """Holds the tasks that one run asks, and the groups that they are members of.

    Two documents of a task that have one id in the data are told apart by a number: "a", "a#2".
    """

    def __init__(
        self,
        tasks: Mapping[str, Any],
        limit: int | float | None,
        groups: Mapping[str, Any] | None = None,
        chat: Chat = PLAIN,
    ) -> None:
        self._tasks, self._groups = dict(tasks), dict(groups or {})
        self._ids: dict[tuple[str, int], str] = {}
        limits = {name: get_sample_size(task, limit) for name, task in self._tasks.items()}
        built = [placed for name in self._tasks for placed in self._build(name, limits[name], chat)]
        self._placed = [p for p in built if _within(p.place, limits[p.request.task])]
        self.typical = [p.request for p in built if p.place.document < TYPICAL]
        """Questions of each task's first 128 examples, whatever the limit."""

    @property
    def requests(self) -> list[Request]:
        """List every question of the first `limit` examples of each task, a share of them if it is below 1."""
        return [placed.request for placed in self._placed]

    def score(self, replies: Mapping[str, Reply]) -> Scored:
        """Let lm-eval score the replies, given by Request.key; examples of which one is missing are left out."""
        asked = {(r.task, place.document) for r, place in self._placed}
        there = asked - {(r.task, place.document) for r, place in self._placed if r.key not in replies}
        samples = {name: sorted(doc for task, doc in there if task == name) for name in self._tasks}
        tasks = {name: task for name, task in self._tasks.items() if samples[name]}
        # lm-eval counts the chosen documents anew, from 0
        anew = {(name, doc): i for name, docs in samples.items() for i, doc in enumerate(docs)}
        answers: dict[Place, list[Reply]] = defaultdict(list)
        for r, place in self._placed:
            if (r.task, place.document) in there:
                answers[place._replace(document=anew[r.task, place.document])].append(replies[r.key])
        loaded = {"tasks": {name: _rewound(task) for name, task in tasks.items()}, "groups": self._groups}
        options = {"bootstrap_iters": 0, "log_samples": True, "confirm_run_unsafe_code": True}
        results = lm_eval.evaluate(lm=Replay(answers), task_dict=loaded, samples=samples, **options)
        return read_scored(results, tasks, self._groups, self._ids)

    def _build(self, name: str, limit: int | None, chat: Chat) -> Iterator[Placed]:
        """Build the requests of a task's first examples, and name the examples."""
        task, used = _rewound(self._tasks[name]), set[str]()
        task.build_all_requests(limit=None if limit is None else max(limit, TYPICAL), **chat.arguments)
        for instance in task.instances:
            document = name, instance.doc_id
            if document not in self._ids:
                self._ids[document] = _unused(example_id(instance.doc, instance.doc_id), used)
                used.add(self._ids[document])
            request = replace(to_request(name, task, instance), example=self._ids[document])
            for repeat in range(instance.repeats or 1):
                place = Place(instance.task_name, instance.doc_id, instance.idx)
                yield Placed(request.again(request.seed, repeat), place)


def _rewound(task: Any) -> Any:
    """Rewind the sampler of a task's shots, so that every build draws the same examples."""
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def _unused(name: str, used: set[str]) -> str:
    """Return the name, or with a number that tells it from those that are used."""
    found, number = name, 1
    while found in used:
        number += 1
        found = f"{name}#{number}"
    return found


def _within(place: Place, limit: int | None) -> bool:
    return limit is None or place.document < limit
