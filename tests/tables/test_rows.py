"""The facts of an example: what it moved and held at its own length, and where it differs from dense."""

import math

import pytest
from support import record
from support.rows import LABELS

from harness.engine.divergence import Divergence
from harness.store.records import DivergenceRecord
from harness.tables.columns import ROWS, names
from harness.tables.rows import CellFacts, Elements, example_facts, to_frame

OWN = {10: Elements(100.0, 30.0), 20: Elements(150.0, 50.0)}
DENSE = {10: Elements(400.0, 390.0), 20: Elements(800.0, 790.0)}
FACTS = CellFacts(LABELS, str, OWN, DENSE, bytes_per_element=2)
MEASURED = CellFacts(LABELS, str, OWN, DENSE, bytes_per_element=2, measured=True)


def test_the_costs_of_an_example_are_those_of_its_own_length():
    found = example_facts(FACTS, [record(), record(prompt_tokens=20, tokens=[5], nll=[1.0])], None)
    assert (found["transfers_elements"], found["bytes_per_token"], found["prompt_tokens"]) == (125, 250, 15)
    assert found["compression"] == pytest.approx(600 / 125)
    assert (found["held_bytes"], found["memory_compression"]) == (80, pytest.approx(590 / 40))
    assert found["knobs"] == "[10, 20]"
    assert (found["new_tokens"], found["seconds"], found["active"]) == (3, 1.0, True)
    assert math.isnan(found["first_difference"])
    assert math.isnan(found["delta_nll"])


def test_a_measured_cell_moves_its_share_of_what_dense_moves_at_the_length_of_each_prompt():
    found = example_facts(MEASURED, [record(share=0.5), record(prompt_tokens=20, share=0.125)], None)
    assert found["transfers_elements"] == (0.5 * 400 + 0.125 * 800) / 2
    assert found["compression"] == pytest.approx(600 / 150)
    assert (found["held_bytes"], found["memory_compression"]) == (80, pytest.approx(590 / 40))


def test_a_request_without_a_decode_step_leaves_the_measurement_to_the_others():
    found = example_facts(MEASURED, [record(), record(prompt_tokens=20, share=0.125)], None)
    assert (found["transfers_elements"], found["bytes_per_token"], found["compression"]) == (100, 200, 8)
    nothing = example_facts(MEASURED, [record()], None)
    assert all(math.isnan(nothing[name]) for name in ("transfers_elements", "bytes_per_token", "compression"))
    assert nothing["held_bytes"] == 60


@pytest.mark.parametrize(
    ("tokens", "dense", "expected"),
    [
        ([[1, 2, 3]], [[1, 2, 3]], math.nan),
        ([[1, 2, 3]], [[1, 9, 3]], 1),
        ([[9, 2]], [[1, 2]], 0),
        ([[1, 2]], [[1, 2, 3]], 2),
        ([[1, 2, 3]], [[1]], 1),
        ([[1, 2], [3, 4]], [[1, 2], [3, 5]], 3),
    ],
)
def test_the_first_difference_is_the_index_of_the_first_other_token(tokens, dense, expected):
    ours, theirs = ([record(tokens=t, nll=[0.0] * len(t)) for t in rows] for rows in (tokens, dense))
    assert example_facts(FACTS, ours, theirs)["first_difference"] == pytest.approx(expected, nan_ok=True)


def test_the_difference_in_likelihood_is_over_tokens_that_both_were_given():
    ours = [record(nll=[1.0, 2.0]), record(tokens=[7], nll=[100.0])]
    theirs = [record(nll=[0.5, 2.25]), record(tokens=[8], nll=[0.0])]
    assert example_facts(FACTS, ours, theirs)["delta_nll"] == pytest.approx((0.5 + 0.25) / 2)
    assert math.isnan(example_facts(FACTS, ours[1:], theirs[1:])["delta_nll"])


def test_rows_hold_what_their_columns_say_after_what_the_task_declares():
    found = DivergenceRecord(**Divergence.of([0.5] * 8, [True] * 8, [0.25] * 8).record)
    made = example_facts(FACTS, [record(divergence=found)], [record()]) | {
        "task": "t",
        "metric": "match",
        "value": 1.0,
        "decided": True,
    }
    table = to_frame([{"depth": 0.5} | made | {"higher_is_better": True}])
    assert list(table.columns) == ["depth", *names(ROWS)]
    assert table.drop(columns="first_difference").notna().all(axis=None)
