"""Scores of a task in which a method changed nothing are in no table, whatever it changed in other tasks."""

import pandas as pd
import pytest
from support.own_tasks import WRITE, write_task, write_yaml

from harness.__main__ import main
from harness.evaluation.inert import find_inert
from harness.evaluation.scores import Score

ONE_TOKEN = {"generation_kwargs": {"until": [], "max_gen_toks": 1, "do_sample": False}}
SPARQ = {"r": 2, "k": 2}


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A group of two tasks, of which one decodes a single token, the dense prefill's."""
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path, "own_long", kind=WRITE)
    write_task(tmp_path, "own_short", kind={**WRITE, **ONE_TOKEN})
    mean = [{"metric": "exact_match", "aggregation": "mean", "weight_by_size": True, "filter_list": "none"}]
    write_yaml(tmp_path, group="own_both", task=["own_long", "own_short"], aggregate_metric_list=mean)
    return tmp_path


def test_a_task_and_its_group_are_left_out_of_a_run_under_the_method_that_changed_nothing(tasks, tiny, capsys):
    asked = ["model=custom", f"model.path={tiny}", "task=lm_eval", "task.name=own_both", f"task.include_path={tasks}"]
    knobs = [f"method.sparq.{knob}={value}" for knob, value in SPARQ.items()]
    assert main(["run", *asked, "methods=[dense,sparq]", *knobs]) == 1
    (sentence,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("harness: "))
    assert "inert: cell sparq-" in sentence
    assert "on own_both, own_short:" in sentence
    (folder,) = (tasks / "results").glob("custom-*")
    for table in (pd.read_csv(folder / "summary.csv"), pd.read_parquet(folder / "rows.parquet")):
        assert set(table["task"][table["method"] == "dense"]) == {"own_long", "own_short", "own_both"}
        assert set(table["task"][table["method"] == "sparq"]) == {"own_long"}


@pytest.mark.slow
def test_lm_evals_command_line_refuses_the_task_too(tasks, tiny, monkeypatch, capsys):
    monkeypatch.setenv("HF_HOME", str(tasks))
    said = f"pretrained={tiny},method=sparq," + ",".join(f"{knob}={value}" for knob, value in SPARQ.items())
    asked = ["--model", "harness", "--model_args", said, "--include_path", str(tasks), "--tasks"]
    assert main(["lm-eval", "run", *asked, "own_long,own_short"]) == 1
    assert "on own_short:" in capsys.readouterr().err
    assert main(["lm-eval", "run", *asked, "own_long"]) == 0


def test_a_metric_about_some_examples_is_judged_by_them():
    scores = [Score("t", str(i), metric, 1.0) for i in range(4) for metric in ("all", "short" if i < 2 else "long")]
    assert find_inert(scores, {("t", "3")}) == {("t", "short")}
    assert find_inert(scores, {("t", "0"), ("t", "3")}) == set()
    assert find_inert(scores, {("u", "0")}) == {("t", "all"), ("t", "short"), ("t", "long")}


def test_a_group_is_judged_by_its_weakest_member():
    scores = [Score(task, "0", "m", 1.0, group) for task in ("a", "b") for group in ("", "g")]
    assert find_inert(scores, {("a", "0")}) == {("b", "m"), ("g", "m")}
    assert find_inert(scores, {("a", "0"), ("b", "0")}) == set()
