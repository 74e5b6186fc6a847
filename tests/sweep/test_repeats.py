"""A sampled task under the grid: every cell is given the same random numbers, repeats are rows of their own records."""

import json

import pandas as pd
import pytest
from support.own_tasks import WRITE, write_task
from support.sweeps import configuration, launch, only_run

from harness.sweep.job import Job

LONG = "At the mill Orla sold a red lantern to Beric before the feast. "
DRAWN = "task.gen_kwargs={do_sample:true,temperature:1.0,max_gen_toks:8}"


@pytest.fixture
def run(tiny, tmp_path, capsys):
    """Run the task; returns exit code, what was said on standard error, outputs and summary."""
    write_task(tmp_path, "own_r", 3, WRITE, rows=[("text", [f"{LONG * 4}Alda {i}" for i in range(3)])])

    def call(*more):
        task = ["task=lm_eval", "task.name=own_r", f"task.include_path={tmp_path}"]
        methods = ["methods=[dense,window]", "method.window.k=8", f"results={tmp_path / 'results'}"]
        config = configuration("model=custom", f"model.path={tiny}", *task, *methods, *more)
        code = launch(Job.of(config))
        if code:
            return code, capsys.readouterr().err, [], None
        folder = only_run(tmp_path / "results")
        outputs = [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]
        return code, "", outputs, pd.read_csv(folder / "summary.csv")

    return call


def test_repeats_are_records_of_their_own_and_become_one_line_per_summary_of_them(run):
    code, _, outputs, table = run(DRAWN, "repeats=3")
    assert (code, len(outputs), len({(o["unit"], o["cell"]) for o in outputs})) == (0, 18, 18)
    assert set(table["metric"]) == {"exact_match avg@3", "exact_match pass@2", "exact_match pass@3"}
    assert (table["n"] == 3).all()
    first = {}
    for output in outputs:
        first.setdefault(output["unit"], set()).add(output["tokens"][0])
    assert all(len(tokens) == 1 for tokens in first.values())  # drawn from the prefill's logits by the same number
    texts = [o["text"] for o in outputs if o["cell"].startswith("dense")]
    assert len(set(texts)) > 6


def test_more_repeats_add_only_what_is_missing_and_a_seed_is_other_records(run):
    _, _, before, _ = run(DRAWN, "repeats=2")
    _, _, after, _ = run(DRAWN, "repeats=3")
    assert after[:12] == before
    assert len(after) == 18
    _, _, other, _ = run(DRAWN, "repeats=1", "seed=1")
    assert len(other) == 18 + 6


def test_a_single_repeat_keeps_the_names_of_metrics(run):
    _, _, _, table = run(DRAWN)
    assert set(table["metric"]) == {"exact_match"}


def test_repeats_of_a_greedy_task_are_refused_before_weights_are_loaded(run):
    code, err, _, _ = run("repeats=2")
    assert code == 2
    assert "repeats > 1 of task own_r would all be the same, it draws no tokens" in err
