"""Tasks of lm-eval's kinds under our grid: metrics are those of eager transformers and lm-eval's hf backend."""

import math
import re

import pandas as pd
import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from support.lm_eval_runs import TEXTS
from support.own_tasks import CHOICE, write_task, write_yaml

from harness.__main__ import main
from harness.report.load import load
from harness.report.page.texts import sample

pytestmark = pytest.mark.usefixtures("short_index")


@pytest.fixture
def harness(tiny, tmp_path, monkeypatch):
    """Run a shipped task on rows of ours; returns rows and summary."""
    monkeypatch.chdir(tmp_path)

    def call(name, split, rows):
        pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
        data = f"{{dataset_path: parquet, dataset_name: null, dataset_kwargs: {{data_files: {{{split}: rows.parquet}}}}"
        splits = f"training_split: null, test_split: {split}, validation_split: null}}"
        task = ["task=lm_eval", f"task.name={name}", f"task.overrides={data}, {splits}"]
        methods = ["methods=[dense,sparq]", "method.sparq.r=2", "method.sparq.k=8"]
        assert main(["run", "model=custom", f"model.path={tiny}", *task, *methods]) == 0
        (folder,) = (tmp_path / "results").glob("custom-*")
        return pd.read_parquet(folder / "rows.parquet"), pd.read_csv(folder / "summary.csv")

    return call


def test_a_multiple_choice_task_of_lm_eval_runs_under_the_grid(harness, by_hand):
    wanted = ["put it at the mill", "sell a lantern"]
    docs = [
        {"goal": text.strip(), "sol1": wanted[0], "sol2": wanted[1], "label": i % 2} for i, text in enumerate(TEXTS)
    ]
    rows, table = harness("piqa", "validation", docs)
    assert set(table.metric) == {"acc", "acc_norm"}
    dense = rows[(rows.method == "dense") & (rows.metric == "acc")]
    for value, doc in zip(dense.value, docs, strict=True):
        first, second = (by_hand(f"Question: {doc['goal']}\nAnswer:", f" {choice}") for choice in wanted)
        assert value == (int(second > first) == doc["label"])


def test_a_rolling_task_of_lm_eval_is_scored_through_decoding(harness, by_hand):
    pages = [{"page": f"The mill of Orla, part {i}. " + "They say that Alda met Beric. " * (4 + i)} for i in range(3)]
    rows, table = harness("wikitext", "test", pages)
    dense, sparq = (
        table[(table.method == m) & (table.metric == "word_perplexity")].iloc[0] for m in ("dense", "sparq")
    )
    total = sum(by_hand("", page["page"]) for page in pages)
    words = sum(len(re.split(r"\s+", page["page"])) for page in pages)
    assert dense.value == pytest.approx(math.exp(-total / words), rel=1e-4)
    assert sparq.value != pytest.approx(dense.value, rel=1e-6)
    assert sparq.delta_dense == pytest.approx(sparq.value - dense.value) and math.isnan(sparq.delta_ci_low)
    assert not dense.higher_is_better
    assert rows[rows.method == "sparq"].active.all()


def test_a_group_of_own_tasks_is_reported_as_lm_evals_hf_backend_reports_it(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, count in (("own_a", 2), ("own_b", 5)):
        write_task(tmp_path, name, count, {**CHOICE, "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]})
    weights = [{"metric": "acc", "weight_by_size": False}, {"metric": "acc_norm"}]
    write_yaml(tmp_path, group="own", task=["own_a", "own_b"], aggregate_metric_list=weights)
    task = ["task=lm_eval", "task.name=own", f"task.include_path={tmp_path}", "task.num_fewshot=1"]
    knobs = ["methods=[dense,sparq]", "method.sparq.r=2", "method.sparq.k=8"]
    assert main(["run", "model=custom", f"model.path={tiny}", *task, *knobs]) == 0
    assert "runs Python that its YAML names with !function" in capsys.readouterr().out
    (folder,) = (tmp_path / "results").glob("custom-*")
    table = pd.read_csv(folder / "summary.csv")

    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    hf = HFLM(pretrained=str(tiny), dtype="float32", device="cpu")
    options = {"task_manager": manager, "num_fewshot": 1, "bootstrap_iters": 0}
    theirs = simple_evaluate(model=hf, tasks=["own"], **options)["results"]
    dense = table[table.method == "dense"]
    ours = {(line.task, f"{line.metric},none"): line.value for line in dense.itertuples()}
    wanted = {(n, m): v for n, found in theirs.items() for m, v in found.items() if m in ("acc,none", "acc_norm,none")}
    assert ours == pytest.approx(wanted)
    assert set(table.groupby("task")["n"].first().items()) == {("own_a", 2), ("own_b", 5), ("own", 7)}
    results = load(tmp_path / "results")
    assert set(results.cells["note"]) == {""}
    shown = sample(results, [panel for panel, _ in results.panels() if panel.task == "own"], 10**6).examples
    assert {example.id for example in shown} == {*(f"own_a/{i}" for i in range(2)), *(f"own_b/{i}" for i in range(5))}
    assert all(example.prompt and len(example.outputs) == 2 for example in shown)
