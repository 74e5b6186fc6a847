"""Tasks of one's own are programs: a run says whose code it may run, and says nothing where there is none."""

import pytest

from harness.sweep.task_spec import TaskSpec


@pytest.mark.parametrize(
    ("task", "where"),
    [
        (TaskSpec("own", include_path="/home/me/tasks"), "/home/me/tasks"),
        (TaskSpec("/home/me/own.yaml"), "/home/me/own.yaml"),
    ],
)
def test_a_task_of_ones_own_is_told_to_run_what_its_yaml_names(task, where):
    assert where in task.own_code and "!function" in task.own_code


@pytest.mark.parametrize("task", [TaskSpec("squad", yaml="paper_squad"), TaskSpec("arc_easy")])
def test_a_task_of_the_project_or_of_lm_eval_is_not(task):
    assert task.own_code is None
