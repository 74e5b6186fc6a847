"""What lm-eval computes of the replies is what is reported, of every metric, for examples with names of their own."""

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from support.own_tasks import CHOICE, WRITE, Oracle, replies, write_task

from harness.evaluation.suite import Suite
from harness.evaluation.tasks import Shipped, load_shipped

BY_LENGTH = """
from lm_eval.tasks.ruler.common_utils import aggregate_metrics, get_tokenizer, process_results, resolve_tokenizer_name
import datasets


def documents(**given):
    \"\"\"Documents of several lengths in tokens, as RULER makes its own.\"\"\"
    tokenizer = get_tokenizer(resolve_tokenizer_name(given))
    texts = {length: "mill " * length for length in given.pop("max_seq_lengths", [4096])}
    cut = {length: tokenizer.decode(tokenizer(text).input_ids[:length]) for length, text in texts.items()}
    rows = [{"input": f"{i} {cut[n]}", "max_length": n, "outputs": ["lantern"]} for n in cut for i in range(2)]
    return {"test": datasets.Dataset.from_list(rows)}
"""
RULER = """
task: own_ruler
dataset_path: ""
dataset_name: ""
output_type: generate_until
test_split: test
custom_dataset: !function by_length.documents
doc_to_text: "{{input}}"
doc_to_target: "{{outputs}}"
process_results: !function by_length.process_results
metric_list:
  - {metric: "4096", aggregation: !function by_length.aggregate_metrics, higher_is_better: true}
  - {metric: "8192", aggregation: !function by_length.aggregate_metrics, higher_is_better: true}
generation_kwargs: {do_sample: false, max_gen_toks: 4, until: []}
metadata: {version: 1.0}
"""


def scored(loaded, **options):
    suite = Suite(loaded.tasks, None, loaded.groups, **options)
    return suite, suite.score(replies(suite.requests))


@pytest.mark.parametrize("lengths", [[16], [16, 4096], [8192]])
def test_a_task_by_length_reports_the_lengths_that_it_asked_and_no_marker_of_another(tiny, tmp_path, lengths):
    (tmp_path / "by_length.py").write_text(BY_LENGTH)
    (tmp_path / "ruler.yaml").write_text(RULER)
    metadata = {"tokenizer": str(tiny), "max_seq_lengths": lengths}
    _, (scores, metrics) = scored(load_shipped(Shipped("own_ruler", include_path=str(tmp_path), metadata=metadata)))
    assert {m.name for m in metrics} == {str(n) for n in lengths}
    assert sorted((s.metric, s.example) for s in scores) == sorted(
        (str(n), str(2 * place + i)) for place, n in enumerate(lengths) for i in range(2)
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False, metadata=metadata)
    options = {"task_manager": manager, "bootstrap_iters": 0}
    theirs = simple_evaluate(model=Oracle(), tasks=["own_ruler"], **options)["results"]["own_ruler"]
    assert {m.name: m.aggregate for m in metrics} == {str(n): theirs[f"{n},none"] for n in lengths}
    assert all(m.higher_is_better and m.is_mean for m in metrics)


def test_a_likelihood_of_minus_one_is_a_score_and_no_marker(tmp_path):
    likelihood = {"metric": "perplexity", "aggregation": "mean", "higher_is_better": False}
    kind = {**CHOICE, "output_type": "loglikelihood", "doc_to_target": "{{target}}", "metric_list": [likelihood]}
    write_task(tmp_path, "own", 3, kind)
    loaded = load_shipped(Shipped("own", include_path=str(tmp_path)))
    suite = Suite(loaded.tasks, None)
    found = suite.score({request.key: (-1.0, False) for request in suite.requests})
    assert [s.value for s in found.scores] == [-1.0] * 3


@pytest.mark.parametrize("limit", [1, 3, None])
def test_two_rows_with_one_id_are_two_examples_whatever_the_limit(tmp_path, limit):
    write_task(tmp_path, "own", 4, WRITE, rows={"id": ["a", "b", "a", "a#2"]})
    suite = Suite(load_shipped(Shipped("own", include_path=str(tmp_path))).tasks, limit)
    names = ["a", "b", "a#2", "a#2#2"][:limit]
    assert [request.example for request in suite.requests] == names
    found = suite.score(replies(suite.requests))
    assert [s.example for s in found.scores] == names
    assert [s.value for s in found.scores] == [float(text == "a lantern") for text in replies(suite.requests).values()]


def test_a_group_has_no_aggregate_where_a_member_has_no_replies(tmp_path):
    for name in ("own_a", "own_b"):
        write_task(tmp_path, name, 2)
    (tmp_path / "g.yaml").write_text("{group: own, task: [own_a, own_b], aggregate_metric_list: [{metric: acc}]}")
    loaded = load_shipped(Shipped("own", include_path=str(tmp_path)))
    suite = Suite(loaded.tasks, None, loaded.groups)
    half = replies([request for request in suite.requests if request.task == "own_a"])
    assert {metric.task for metric in suite.score(half).metrics} == {"own_a"}
    assert {metric.task for metric in suite.score(replies(suite.requests)).metrics} == {"own_a", "own_b", "own"}


@pytest.mark.parametrize(("lengths", "aggregated"), [([16], set()), ([16, 4096], {"4096"})])
def test_a_group_by_length_has_no_aggregate_of_markers(tiny, tmp_path, lengths, aggregated):
    (tmp_path / "by_length.py").write_text(BY_LENGTH)
    (tmp_path / "ruler.yaml").write_text(RULER)
    (tmp_path / "g.yaml").write_text('{group: own, task: [own_ruler], aggregate_metric_list: [{metric: "4096"}]}')
    metadata = {"tokenizer": str(tiny), "max_seq_lengths": lengths}
    _, found = scored(load_shipped(Shipped("own", include_path=str(tmp_path), metadata=metadata)))
    assert {m.name for m in found.metrics if m.task == "own"} == aggregated
    assert {s.example for s in found.scores if s.group} == ({"2", "3"} if aggregated else set())
