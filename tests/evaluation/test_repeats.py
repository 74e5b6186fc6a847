"""Repeats are distinct requests, summed up as avg@N and pass@k; what cannot be meant is refused."""

import itertools
from dataclasses import replace

import pytest
from support.own_tasks import WRITE, write_task

from harness.errors import InputError
from harness.evaluation.repeats import distinct, pass_at, rounds, sum_up
from harness.evaluation.requests import Request
from harness.evaluation.scores import Metric, Score, Scored
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import Shipped, load_shipped

DRAWN = {"do_sample": 1.0, "temperature": 0.7}


def question(example="e", task="t", **more):
    return Request(task=task, example=example, kind="generate", **{"context": "x", "settings": DRAWN, **more})


@pytest.mark.parametrize(("n", "correct"), [(n, c) for n in range(1, 7) for c in range(n + 1)])
def test_pass_at_k_is_the_share_of_choices_of_k_outputs_that_hold_a_correct_one(n, correct):
    outputs = [i < correct for i in range(n)]
    for k in range(1, n + 1):
        choices = list(itertools.combinations(outputs, k))
        assert pass_at(k, correct, n) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_every_repeat_is_another_request_and_another_seed_too():
    asked = rounds([question("e"), question("f")], 3, seed=5)
    assert len({request.key for one in asked for request in one}) == len(distinct(asked)) == 6
    other = rounds([question("e"), question("f")], 3, seed=6)
    assert not {r.key for r in distinct(asked)} & {r.key for r in distinct(other)}
    assert [(r.example, r.repeat, r.seed) for r in distinct(asked)[:3]] == [("e", 0, 5), ("e", 1, 5), ("e", 2, 5)]


def test_a_request_that_draws_nothing_is_the_same_under_every_seed():
    greedy = question(settings={})
    assert rounds([greedy], 1, seed=5) == [[greedy]]


def test_repeats_of_a_task_that_draws_nothing_are_refused():
    with pytest.raises(InputError, match="repeats > 1 of task u would all be the same"):
        rounds([question(), question(task="u", settings={})], 2, seed=0)


def test_repeats_of_a_task_that_repeats_itself_are_refused():
    with pytest.raises(InputError, match="task t repeats its questions itself"):
        rounds([question(), replace(question(), repeat=1)], 2, seed=0)


def scored(values, metric="m", is_mean=True, **more):
    """One repeat's scores of examples 0, 1, ..."""
    scores = [Score("t", str(i), metric, value) for i, value in enumerate(values)]
    return Scored(
        scores, [Metric("t", metric, **{"higher_is_better": True, **more}, aggregate=sum(values), is_mean=is_mean)]
    )


def table(of):
    return {(score.metric, score.example): score.value for score in of.scores}


def test_a_single_repeat_stands_as_it_is():
    one = scored([0.0, 1.0])
    assert sum_up({"c": [one]}) == {"c": one}


def test_scores_are_averaged_over_repeats_and_grades_are_counted():
    found = sum_up({"c": [scored([0.0, 1.0]), scored([1.0, 1.0]), scored([0.0, 0.0]), scored([0.0, 1.0])]})["c"]
    assert table(found) == {
        ("m avg@4", "0"): 0.25,
        ("m pass@2", "0"): 0.5,
        ("m pass@4", "0"): 1.0,
        ("m avg@4", "1"): 0.75,
        ("m pass@2", "1"): 1.0,
        ("m pass@4", "1"): 1.0,
    }
    assert [(m.name, m.aggregate, m.is_mean) for m in found.metrics] == [
        ("m avg@4", 1.0, True),
        ("m pass@2", 0.75, True),
        ("m pass@4", 1.0, True),
    ]


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_pass_is_given_for_powers_of_two_and_all_repeats(n):
    found = sum_up({"c": [scored([1.0])] * n})["c"]
    wanted = {2: [2], 3: [2, 3], 5: [2, 4, 5], 8: [2, 4, 8]}[n]
    assert [m.name for m in found.metrics] == [f"m avg@{n}", *(f"m pass@{k}" for k in wanted)]


@pytest.mark.parametrize("repeats", [[scored([0.5]), scored([1.0])], [scored([0.0], higher_is_better=False)] * 2])
def test_a_score_that_is_no_grade_or_better_when_smaller_has_no_pass(repeats):
    assert [m.name for m in sum_up({"c": repeats})["c"].metrics] == ["m avg@2"]


def test_what_is_no_grade_of_one_cell_has_no_pass_under_any():
    found = sum_up({"dense": [scored([1.0]), scored([0.5])], "other": [scored([0.0]), scored([0.0])]})
    assert [m.name for of_cell in found.values() for m in of_cell.metrics] == ["m avg@2"] * 2


@pytest.mark.parametrize("settings", [{}, {"do_sample": True, "temperature": 0.7}])
def test_a_task_that_repeats_its_questions_is_given_another_answer_to_each(tmp_path, settings):
    first = {"name": "first", "filter": [{"function": "take_first"}]}
    voted = {"name": "voted", "filter": [{"function": "majority_vote"}, {"function": "take_first"}]}
    kwargs = {"until": ["\n"], "max_gen_toks": 6, "do_sample": False, **settings}
    write_task(tmp_path, "own_r", 2, WRITE, repeats=3, filter_list=[first, voted], generation_kwargs=kwargs)
    suite = Suite(load_shipped(Shipped("own_r", include_path=str(tmp_path))).tasks, None)
    assert len(suite.requests) == 6
    assert len({r.key for r in suite.requests}) == (6 if settings else 2)
    said = {r.key: "a lantern" if r.repeat else "no" for r in suite.requests}
    found = {(s.metric, s.value) for s in suite.score(said).scores}
    assert found == {("exact_match,first", 0.0), ("exact_match,voted", 1.0 if settings else 0.0)}
