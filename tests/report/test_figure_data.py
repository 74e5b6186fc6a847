"""What figures are drawn from is computed from cells and rows, against cases made by hand."""

import numpy as np
import pandas as pd
import pytest
from support.report.folders import quarter_and_eighth

from harness.report.figures.agreement import still_equal
from harness.report.figures.length import binned
from harness.report.figures.pareto import front
from harness.report.figures.retained import with_share
from harness.report.load import load
from harness.report.methods import with_facts
from harness.report.names import task_name, task_order


def test_the_front_holds_what_no_other_setting_beats():
    columns = ["method", "bytes_per_token", "value", "higher_is_better"]
    cells = pd.DataFrame(
        [
            ("h2o", 1, 0.2, True),
            ("sparq", 2, 0.5, True),
            ("lru", 3, 0.4, True),
            ("oracle_topk", 3, 0.9, True),
            ("dense", 8, 0.6, True),
        ],
        columns=columns,
    )
    cells = with_facts(cells)
    assert front(cells)["method"].tolist() == ["h2o", "sparq", "dense"]
    assert front(cells.assign(higher_is_better=False))["method"].tolist() == ["h2o"]


def test_outputs_equal_dense_until_their_first_difference():
    rows = pd.DataFrame({"first_difference": [np.nan, 2.0, 0.0, 2.0], "new_tokens": [4, 4, 4, 4]})
    # After 0 tokens all are equal; one differs in its first token, two more in their third.
    assert still_equal(rows).tolist() == [1.0, 0.75, 0.75, 0.25, 0.25]


def test_length_bins_hold_equally_many_examples():
    rows = pd.DataFrame({"prompt_tokens": [30, 10, 20, 60, 50, 40], "value": [1, 0, 1, 0, 0, 1]})
    found = binned(rows)
    assert found["length"].tolist() == [20, 50] and found["n"].tolist() == [3, 3]
    assert found["mean"].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_share_of_tokens_kept_is_k_over_the_prompt(tmp_path):
    quarter_and_eighth().write(tmp_path)
    shares = with_share(load(tmp_path).cells).set_index("params")["share"]
    assert shares['{"k": 200}'] == 0.2 and np.isnan(shares["{}"])


def test_needle_tasks_come_by_length_after_the_others():
    tasks = ["needle_16384", "needle_2048", "gsm8k", "repetition"]
    assert sorted(tasks, key=task_order) == ["repetition", "needle_2048", "needle_16384", "gsm8k"]
    assert task_name("needle_2048") == "Needle at 2048 tokens"
