"""What a step of a method moves, scores and reads back, as the time model is told it."""

import pytest
from support import KNOBS

from harness import methods
from harness.attention import LayerShape
from harness.methods.cost import transfers
from harness.sweep.traffic import traffic_of

LAYERS = (LayerShape(8, 128, group=4),) * 32


def test_a_method_moves_what_its_cost_says_and_an_oracle_reads_all_of_k_to_choose():
    sparq, oracle = (traffic_of(n, methods.create(n, **KNOBS[n]), LAYERS, 1000, 2) for n in ("sparq", "oracle_topk"))
    assert sparq.moved == pytest.approx(2 * transfers(methods.create("sparq", **KNOBS["sparq"]), LAYERS, 1000))
    assert sparq.scored == 1000 * 32 and sparq.whole == 2 * 1000 * 128 * 8 * 32 * 2
    assert oracle.choose == 1000 * 128 * 8 * 32 * 2 and oracle.access == "keys"


@pytest.mark.parametrize(
    ("name", "knobs", "n", "search", "entries"),
    [
        ("sparq", {"r": 32, "k": 128}, 32768, "groups", 32768),
        ("sparq", {"r": 32, "k": 4096}, 8192, "whole", 8192),
        ("loki", {"r": 32, "k": 4096, "dense_layers": 0}, 32768, "digits", 32768),
        ("quest", {"token_budget": 4096, "dense_layers": 0}, 32768, "groups", 2048),
        ("quest", {"token_budget": 8192, "dense_layers": 0}, 131072, "whole", 8192),
    ],
)
def test_the_search_of_a_step_is_the_one_that_its_kernel_makes(name, knobs, n, search, entries):
    found = traffic_of(name, methods.create(name, **knobs), LAYERS[:1], n, 2)
    assert (found.search, found.scored) == (search, entries)


def test_layers_that_stay_dense_have_nothing_to_choose_among_or_to_read_back():
    quest, kivi = (
        methods.create("quest", token_budget=512, dense_layers=2),
        methods.create("kivi", bits=2, dense_layers=2),
    )
    every, none = (methods.create("quest", token_budget=512, dense_layers=of) for of in (0, 32))
    read = [traffic_of("m", method, LAYERS, 1600, 2) for method in (quest, every, none, kivi)]
    assert [of.scored for of in read[:3]] == [30 * 100, 32 * 100, 0] and read[2].search == "groups"
    assert read[3].codes == 30 * 2 * 1600 * 128 * 8


def test_what_is_read_back_from_codes_is_an_own_cache_or_coded_labels():
    of = {"kivi": {"bits": 2}, "dense": {}, "loki": {"r": 16, "k": 64}}
    found = {name: methods.create(name, **knobs) for name, knobs in of.items()}
    for bits in (4, 16):
        found[f"labels {bits}"] = methods.create("double_sparsity", r=16, k=64, label_bits=bits, dense_layers=0)
    codes = {name: traffic_of(name, method, LAYERS[:1], 1000, 2).codes for name, method in found.items()}
    assert codes == {"kivi": 2 * 1000 * 128 * 8, "dense": 0, "loki": 0, "labels 4": 1000 * 16 * 8, "labels 16": 0}
