"""How many GPUs hold a model: by hand for a small one, and as a plan says it of a shape of 70 billion weights."""

import re

import pytest
from support.sweeps import configuration

from harness.attention import LayerShape
from harness.forecast.transformer import Transformer
from harness.sweep.fit import fullest_bytes
from harness.sweep.workload import forecast

GIVEN = ("task=squad", "data=embedded", "limit=2", "methods=[dense,sparq]", "ratios=[4]")


@pytest.mark.parametrize(
    ("gpus", "tied", "layers", "tables"),
    [(1, False, 5, 2), (1, True, 5, 1), (2, False, 3, 1), (3, False, 2, 1), (5, True, 1, 1)],
)
def test_the_fullest_gpu_holds_its_layers_and_a_matrix_of_the_vocabulary(gpus, tied, layers, tables):
    model = Transformer([LayerShape(2, 4)] * 5, hidden=8, inner=10, vocabulary=100, heads=4)
    layer, table = 8 * (2 * 4 * (4 + 2)) + 8 * 3 * 10, 8 * 100
    assert fullest_bytes(model, gpus, tied) == 2 * (layers * layer + tables * table)


def test_a_plan_says_on_how_many_gpus_a_model_of_70_billion_weights_fits(tiny):
    text = forecast([configuration("model=llama-3-70b-shape", f"model.tokenizer={tiny}", *GIVEN)])
    (line,) = (line for line in text.splitlines() if "fit on" in line)
    published = 70.55e9 * 2 / 1e9  # parameters of Llama-3-70B, in bfloat16
    assert float(re.search(r"weights of ([\d.]+) GB", line)[1]) == pytest.approx(published, rel=0.001)
    assert "fit on 2 A100-80, 2 H100, 2 H200, 4 L40S" in line


def test_a_plan_of_a_model_that_one_gpu_holds_says_nothing_of_several(tiny):
    text = forecast([configuration("model=custom", f"model.path={tiny}", *GIVEN, "budget=balanced")])
    assert "fit on" not in text
