"""The paper's tasks: the same examples and prompts as the authors' code, where the data allow it.

No examples of needle in a haystack were published: tests/tasks/test_needle.py has its own.
"""

import hashlib
import json

import pandas as pd
import pytest
from support.paper_tasks import GOLDEN_ARGUMENTS, local_suite

from harness.commands.compose import choices
from harness.data.rows import load_rows
from harness.errors import InputError
from harness.evaluation.tasks import load_paper_task
from harness.paths import asset


@pytest.fixture(scope="module")
def golden(shared):
    published = json.loads((shared / "golden" / "smollm2_reference.json").read_text())
    return {task: published.get(task) or published[f"{task}_bpc"] for task in GOLDEN_ARGUMENTS}


@pytest.mark.parametrize("task", list(GOLDEN_ARGUMENTS))
def test_examples_and_the_exact_text_of_prompts_are_the_authors(shared, golden, task):
    expected = golden[task]["examples"]
    requests = local_suite(shared, task, len(expected), GOLDEN_ARGUMENTS[task]).requests
    for request, example in zip(requests, expected, strict=True):
        text = request.context + request.continuation
        assert len(text) == example["text_chars"]
        assert hashlib.sha256(text.encode()).hexdigest() == example["text_sha256"]
        assert example["id"] in ("", request.example)
        if "reference" in example and task != "wikitext":
            assert request.target == example["reference"]


def test_the_published_order_of_repetition_is_met_on_the_whole_text(shared):
    requests = local_suite(shared, "repetition", 15, {}).requests
    assert requests[0].example == "5049"
    assert requests[14].example == "210496"
    assert all(r.context.count(r.context.rsplit("\n", 1)[0][:40]) >= 1 for r in requests)


def test_a_repetition_prompt_ends_with_the_beginning_of_a_passage_that_goes_on_with_the_reference(shared):
    for request in local_suite(shared, "repetition", 8, {}).requests:
        prompt = request.context[-100:]
        assert prompt + request.target in request.context
        assert len(request.target) >= 256


def test_answers_lie_in_the_context_that_squad_shows(shared):
    for request in local_suite(shared, "squad", 12, {}).requests:
        assert request.context.endswith("\nAnswer:")
        assert request.context.count("Background: ") == 8
        assert request.context.count("\nQuestion: ") == 2
        assert any(answer in request.context for answer in request.target.split(" | "))


def test_generation_follows_the_papers_rules(shared):
    first = {task: local_suite(shared, task, 1, {}).requests[0] for task in GOLDEN_ARGUMENTS}
    assert {task: r.kind for task, r in first.items()} == {
        **dict.fromkeys(("squad", "triviaqa", "cnn_dailymail", "repetition"), "generate"), "wikitext": "score"
    }  # fmt: skip
    assert {(r.max_new, r.length_plus) for t, r in first.items() if t in ("squad", "triviaqa")} == {(30, 5)}
    assert {(r.max_new, r.length_plus) for t, r in first.items() if t in ("cnn_dailymail", "repetition")} == {(128, 0)}
    assert all(r.length_of and not r.until for r in first.values() if r.kind == "generate")
    assert all(r.reserve == 256 for r in first.values())
    assert first["wikitext"].separately
    assert len(first["wikitext"].context) >= 6000
    assert len(first["wikitext"].continuation) >= 400
    assert first["wikitext"].continuation[0].isspace()


def test_pythia_is_asked_for_a_single_word(shared):
    (request,) = local_suite(shared, "triviaqa", 1, {"cue": "Single-word answer:"}).requests
    assert request.context.endswith("\nSingle-word answer:")


@pytest.mark.parametrize("task", list(GOLDEN_ARGUMENTS))
def test_the_same_examples_come_in_the_same_order_for_any_limit(shared, task):
    few, more = (local_suite(shared, task, limit, GOLDEN_ARGUMENTS[task]).requests for limit in (2, 5))
    assert [r.key for r in few] == [r.key for r in more[:2]]
    assert len({r.key for r in more}) == 5


def test_rows_are_refused_when_a_file_or_a_column_is_missing(shared, tmp_path):
    file = str(shared / "data" / "gsm8k" / "test.parquet")
    with pytest.raises(InputError, match="has no column page: its columns are"):
        load_rows({"files": [file]}, ["question", "page"])
    with pytest.raises(InputError, match="does not exist"):
        load_rows({"files": [file, str(tmp_path / "none.parquet")]}, ["question"])
    rows = load_rows({"files": [file, file]}, ["question"])
    assert len(rows) == 2 * 1319
    assert set(rows[0]) == {"question"}


def test_a_task_without_any_fitting_row_is_refused(shared):
    with pytest.raises(InputError, match="no example is left"):
        local_suite(shared, "cnn_dailymail", 1, {"shortest": 10**6})


def test_every_paper_task_has_its_configuration():
    yamls = {file.stem for file in (asset("tasks") / "paper").glob("*.yaml")}
    assert yamls == {*GOLDEN_ARGUMENTS, "needle"}
    assert set(choices("task")) == yamls | {"lm_eval", "needle_1k"}
    with pytest.raises(InputError):
        load_paper_task("paper_cnn_dailymail", asset("tasks") / "paper", {"source": {"files": ["nowhere.parquet"]}})


@pytest.mark.parametrize(("rule", "metric"), [(None, "match_characters"), ("repaired", "match_characters_repaired")])
def test_the_rule_of_repetition_is_the_authors_unless_the_repaired_one_is_named(harness, tmp_path, rule, metric):
    asked = ["task=repetition", f"task.arguments.rule={rule or 'null'}", "methods=[dense]", "limit=1"]
    assert harness(*asked)[0] == 0
    (summary,) = tmp_path.glob("results/custom-*/summary.csv")
    assert list(pd.read_csv(summary)["metric"]) == [metric]


def test_a_rule_of_repetition_that_nobody_knows_is_refused(harness):
    code, _, err = harness("task=repetition", "task.arguments.rule=mine")
    assert (code, err) == (2, ["harness: task.arguments.rule=mine is unknown: choose from authors, repaired"])
