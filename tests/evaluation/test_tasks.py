"""A name is the task, group or tag that lm-eval means by it; settings reach every member, or are refused by name."""

import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from support.own_tasks import WRITE, Oracle, replies, write_task, write_yaml

from harness.errors import InputError
from harness.evaluation.lent import drawing_as_lm_eval, lent_names
from harness.evaluation.suite import Suite
from harness.evaluation.tasks import Shipped, load_shipped
from harness.hf import Checkpoint, ModelSpec

IN_PYTHON = """
from lm_eval.api.task import ConfigurableTask


class Own(ConfigurableTask):
    def __init__(self, config):
        files = {{"data_files": {{"test": "{rows}"}}}}
        rows = {{"dataset_path": "json", "dataset_kwargs": files, "test_split": "test"}}
        super().__init__(config={{"task": "own_p", **rows, "doc_to_text": "{{{{text}}}}", "doc_to_target": "target"}})
"""


@pytest.fixture
def folder(tmp_path):
    """Tasks a (4 rows), b (6) and c (2); a tag of a and b; a group of all, in which c says of itself what it wants."""
    write_task(tmp_path, "own_a", 4, tag="own_tag")
    write_task(tmp_path, "own_b", 6, tag="own_tag")
    write_task(tmp_path, "own_c", 2, num_fewshot=1)
    inner = {"group": "own_inner", "task": ["own_tag"], "aggregate_metric_list": [{"metric": "acc"}]}
    members = [inner, {"task": "own_c", "num_fewshot": 1, "description": "Of c."}]
    weights = [{"metric": "acc", "weight_by_size": False}]
    write_yaml(tmp_path, group="own_group", task=members, aggregate_metric_list=weights)
    return tmp_path


def asked(folder, name, **settings):
    return load_shipped(Shipped(name, include_path=str(folder), **settings))


def by_lm_eval(folder, name, **options):
    """What lm-eval's own evaluation asks a model, and its results."""
    oracle = Oracle()
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return oracle, simple_evaluate(model=oracle, tasks=[name], task_manager=manager, bootstrap_iters=0, **options)


@pytest.mark.parametrize("settings", [{}, {"num_fewshot": 2}])
@pytest.mark.parametrize("name", ["own_a", "own_tag", "own_group"])
def test_every_member_is_asked_what_lm_eval_asks_it_and_scored_alike_the_group_too(folder, name, settings):
    loaded = asked(folder, name, **settings)
    suite = Suite(loaded.tasks, None, loaded.groups)
    oracle, theirs = by_lm_eval(folder, name, **settings)
    assert Counter((r.task, r.context, r.continuation) for r in suite.requests) == Counter(oracle.asked)
    ours = {(m.task, m.name): m.aggregate for m in suite.score(replies(suite.requests)).metrics}
    wanted = {(task, "acc"): found["acc,none"] for task, found in theirs["results"].items() if "acc,none" in found}
    assert ours == pytest.approx(wanted)
    assert len(ours) == {"own_a": 1, "own_tag": 2, "own_group": 5}[name]


def test_overrides_reach_every_member_over_what_its_group_says_of_it(folder):
    loaded = asked(folder, "own_group", overrides={"description": "Of all.", "num_fewshot": 0})
    requests = Suite(loaded.tasks, None, loaded.groups).requests
    assert {r.task for r in requests} == {"own_a", "own_b", "own_c"}
    assert all(r.context.startswith("Of all.Question") for r in requests)


def test_a_task_is_found_by_the_path_of_its_yaml(folder):
    loaded = load_shipped(Shipped(str(folder / "own_a.yaml"), overrides={"doc_to_text": "{{text}} Say:"}))
    assert [r.context[-5:] for r in Suite(loaded.tasks, 1).requests] == [" Say:"] * 2


def test_a_share_of_each_member_is_as_many_examples_as_lm_eval_takes(folder):
    loaded = asked(folder, "own_tag")
    oracle, _ = by_lm_eval(folder, "own_tag", limit=0.3)
    requests = Suite(loaded.tasks, 0.3).requests
    assert Counter((r.task, r.context, r.continuation) for r in requests) == Counter(oracle.asked)
    assert Counter(r.task for r in requests) == {"own_a": 2 * 2, "own_b": 2 * 2}


def test_generation_settings_are_laid_over_those_of_the_yaml(tmp_path):
    write_task(tmp_path, "own_w", kind=WRITE)
    loaded = asked(tmp_path, "own_w", gen_kwargs={"max_gen_toks": 3})
    assert {(r.max_new, r.until) for r in Suite(loaded.tasks, None).requests} == {(3, ("\n",))}


def test_a_member_that_fixes_no_shots_is_named_and_where_all_do_the_number_is_refused(folder):
    write_task(folder, "own_d", num_fewshot=0)
    write_yaml(folder, group="own_mixed", task=["own_a", "own_d"])
    (note,) = asked(folder, "own_mixed", num_fewshot=2).notes
    assert note.startswith("task.num_fewshot=2 is not followed by own_d")
    with pytest.raises(InputError, match=r"not followed by own_d.*task\.overrides={num_fewshot: 2}"):
        asked(folder, "own_d", num_fewshot=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"overrides": {"validation_split": "validation"}}, "its data have no 'validation'.*task.overrides"),
        ({"overrides": {"doc_to_text": "{{nothing}}"}}, "'nothing' is undefined"),
        ({"overrides": {"no_such_key": 1}}, "no_such_key"),
        ({"overrides": {"task": "other"}}, "task.overrides.task"),
        (
            {"overrides": {"dataset_kwargs": {"data_files": {"test": "nowhere.jsonl"}}}},
            "cannot be loaded.*task.over",
        ),
        ({"gen_kwargs": {"max_gen_toks": 3}}, "task.gen_kwargs: own_a generates no text"),
        ({"overrides": {"doc_to_image": ["text"]}}, "shows images"),
        ({"overrides": {"unsafe_code": True}}, "task.confirm_run_unsafe_code=true"),
    ],
)
def test_what_a_task_cannot_follow_is_one_sentence(folder, settings, said):
    with pytest.raises(InputError, match=said) as found:
        asked(folder, "own_a", **settings)
    assert "\n" not in str(found.value)


def test_a_task_written_in_python_that_takes_no_override_refuses_it_by_name(folder):
    (folder / "own_python.py").write_text(IN_PYTHON.format(rows=folder / "own_a.jsonl"))
    (folder / "own_p.yaml").write_text("task: own_p\nclass: !function own_python.Own\n")
    assert len(Suite(asked(folder, "own_p").tasks, None).requests) == 4
    with pytest.raises(InputError, match=r"in Python and does not follow task\.overrides\.doc_to_text"):
        asked(folder, "own_p", overrides={"doc_to_text": "other"})


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"task\.include_path=nowhere is no folder"):
        load_shipped(Shipped("own_a", include_path="nowhere"))


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("place", ["config", "tokenizer"])
def test_a_tokenizer_with_code_of_its_own_is_lent_to_lm_eval_only_if_that_code_is_trusted(place, trusted):
    code = {"auto_map": {"AutoTokenizer": ["code.Own", None]}}
    config = SimpleNamespace(**(code if place == "config" else {}))
    tokenizer = SimpleNamespace(name_or_path="folder", init_kwargs=code if place == "tokenizer" else {})
    spec = ModelSpec("own", "folder", trust_remote_code=trusted)
    names = lent_names(Checkpoint(spec, "folder", config, ()), tokenizer)
    assert names == dict.fromkeys(("tokenizer", "pretrained"), "folder" if trusted else "")


def test_what_draws_at_random_draws_what_lm_eval_draws_and_disturbs_nobody():
    random.seed(7)
    before = random.getstate()
    with drawing_as_lm_eval():
        drawn = random.random(), np.random.rand()
    assert drawn == (random.Random(0).random(), np.random.RandomState(1234).rand())
    assert random.getstate() == before
