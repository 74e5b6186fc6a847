"""Methods have a look each: a colour by their family, a marker and a line of their own."""

import pandas as pd

from harness.report.drawing.style import look
from harness.report.methods import with_facts


def looks(*methods, **recorded):
    """The look of each method, of those in run.json as `recorded`."""
    table = with_facts(pd.DataFrame({"method": methods}), recorded)
    return [look(line) for line in table.to_dict("records")]


def test_the_colour_of_a_method_is_its_family_s_and_its_marker_its_own():
    h2o, infinite, sparq = looks("h2o", "lm_infinite", "sparq")
    assert h2o.color == infinite.color != sparq.color
    assert (h2o.marker, h2o.line) != (infinite.marker, infinite.line)
    dense, oracle, random = looks("dense", "oracle_topk", "random_k")
    assert (dense.color, dense.line) == ("#000000", "--") and oracle.color == random.color != dense.color
    assert oracle.line == random.line == ":" and oracle.marker != random.marker


def test_twenty_methods_of_a_family_are_told_apart():
    names = [f"m{i}" for i in range(20)]
    assert len(set(looks(*names, **{name: {"family": "eviction"} for name in names}))) == 20


def test_a_method_that_nobody_knows_has_the_same_look_everywhere():
    (alone,), (beside, _) = looks("brand_new"), looks("brand_new", "h2o")
    assert alone == beside and alone.marker not in "os^D"
