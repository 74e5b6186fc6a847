"""Needle in a haystack: a sentence at known depths of essays of a known length. Words stand for tokens here."""

import pandas as pd
import pytest
from support import one_layer
from support.paper_tasks import local_data

from harness.data.sources import resolve
from harness.errors import InputError
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import load_paper_task
from harness.methods import solve
from harness.paths import asset

NEEDLE = "The best thing to do in San Francisco is to eat a sandwich and sit in Dolores Park on a sunny day.\n"


def words(text):
    return len(text.split())


@pytest.fixture(scope="module")
def asked(shared):
    """Requests for some arguments of the construction, by depth."""

    def build(**arguments):
        source = resolve(local_data(shared), "needle", asset("tasks") / "corpus", shared)
        asked = {**source.arguments, "count": words, "positions": 8192, **arguments}
        suite = Suite({"needle": load_paper_task("paper_needle", asset("tasks") / "paper", asked)}, None)
        return dict(sorted((request.labels["depth"], request) for request in suite.requests))

    return build


def haystack(request):
    return request.context[: request.context.index("\nQuestion: ")]


def test_there_is_one_needle_at_each_of_17_depths(asked):
    requests = asked(length=1024)
    assert list(requests) == [i / 16 for i in range(17)]
    assert all(request.context.count(NEEDLE) == 1 for request in requests.values())
    assert {request.labels["length"] for request in requests.values()} == {1024}
    assert len({request.key for request in requests.values()}) == 17


def test_without_their_needles_all_prompts_of_a_length_are_one_text(asked):
    assert len({request.context.replace(NEEDLE, "") for request in asked(length=1024).values()}) == 1


@pytest.mark.parametrize("length", [512, 1024, 4096])
def test_essays_and_needle_fill_the_length_but_for_128_tokens(asked, length):
    for request in asked(length=length, depths=3).values():
        assert words(haystack(request)) == length - 128


def test_the_needle_begins_a_sentence_at_its_share_of_the_text(asked):
    for depth, request in asked(length=4096).items():
        before, after = haystack(request).split(NEEDLE)
        share = len(before) / len(before + after)
        assert depth - 0.04 < share <= depth
        assert before == "" or before.rstrip()[-1] in ".!?"


def test_the_answer_is_what_the_needle_tells_after_the_words_that_the_prompt_ends_with(asked):
    for request in asked(length=1024, depths=2).values():
        begun = request.context.rsplit("Answer: ", 1)[1]
        assert f"{begun} {request.target}\n" == NEEDLE
        assert (request.length_of, request.length_plus) == ((request.target,), 5)


def test_a_length_that_the_model_or_the_essays_do_not_reach_is_refused(asked):
    with pytest.raises(InputError, match="at 9000 tokens does not fit: give 129 to 8192"):
        asked(length=9000)
    with pytest.raises(InputError, match=r"the essays have \d+ tokens"):
        asked(length=10**6, positions=10**7)


def test_length_and_depth_are_columns_of_the_rows(harness, tmp_path):
    arguments = ["task=needle", "task.arguments.length=512", "task.arguments.depths=3"]
    assert harness(*arguments, "methods=[dense,sparq]", "ratios=[2]", "budget=balanced")[0] == 0
    (file,) = (tmp_path / "results").glob("*/rows.parquet")
    found = pd.read_parquet(file)
    assert set(found["length"]) == {512} and sorted(found["depth"]) == [0, 0, 0.5, 0.5, 1, 1]
    assert set(found["task"]) == {"needle_512"}
    assert found["prompt_tokens"].between(512 - 128, 512).all()


@pytest.mark.parametrize("ratio", [4, 8])
def test_the_experiments_knobs_are_the_papers_but_for_what_the_ratio_has_to_pay_besides(ratio):
    s, d = 4096 - 96, 128
    sparq, h2o, lm_infinite = (solve(name, one_layer(ratio, s, d)) for name in ("sparq", "h2o", "lm_infinite"))
    assert sparq.r == d / ratio and 2 <= s / (2 * ratio) - sparq.k <= 3
    assert lm_infinite.k == s / ratio - 1
    assert s / ratio - h2o.k == pytest.approx(s / d, abs=2)
