"""Every method can be timed beside dense attention, and the line says what it moved and how far it was from dense."""

import pytest
from benchmark_methods import WARM, lines, measure, settings
from random_prompts import Prompt, Shape

from harness import methods
from harness.attention import LayerShape

TINY = Prompt(Shape(LayerShape(2, 16, group=2), layers=4, batch=2), 96, WARM + 2)


def test_dense_attention_beside_itself_moves_the_same_and_differs_in_nothing():
    found = measure(TINY, methods.create("dense"))
    assert (found.bytes_ratio, found.error) == (1, 0)


@pytest.mark.parametrize("name", methods.runnable())
def test_a_method_has_a_line_for_each_ratio_or_the_reason_why_not(name):
    written = list(lines(TINY, name, [2.0, 4.0], {}))
    assert len(written) == len(list(settings(name, TINY, [2.0, 4.0])))
    for line in written:
        assert line.split()[0] == name
        assert "skipped: " in line or float(line.split()[2]) >= 0


def test_a_method_at_half_of_the_bytes_moves_half_and_is_off_by_something():
    for _, method in settings("sparq", TINY, [2.0]):
        found = measure(TINY, method)
        assert 0.45 < found.bytes_ratio <= 0.5
        assert 0 < found.error < 1
