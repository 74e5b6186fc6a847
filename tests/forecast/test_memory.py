"""How many tokens a batch may have, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import methods
from harness.attention import LayerShape
from harness.forecast.memory import SHARE, Example, Passes, demand_of, fitting_tokens, most_per_token
from harness.forecast.transformer import Transformer
from harness.methods.cell import Cell
from harness.sweep.batch_tokens import _free_bytes, _state_bytes, planned_batch_tokens
from harness.sweep.job import EngineSpec

TINY = Transformer([LayerShape(2, 16)] * 2, hidden=64, inner=96, vocabulary=400, heads=4, element=4)
LLAMA_2 = Transformer([LayerShape(32, 128)] * 32, hidden=4096, inner=11008, vocabulary=32000, heads=32)
PASSES = Passes(prefill=2048, block=128, logit_bytes=1 << 28)
SQUAD = demand_of(LLAMA_2, [Example(1500, 30)], 1, PASSES)


def test_tokens_fit_at_the_prefill_and_while_decoding_with_one_number_of_everything():
    one = Transformer([LayerShape(1, 1)], hidden=1, inner=1, vocabulary=1, heads=1)
    columns = 12 * (2 * 2 + 2 * 4)  # of 10 + 2 tokens: K, V, two statistics
    row = 8 * 2 + (2 + 4 + 4)  # through a layer; logits, the same in float32, likelihoods
    attending = 12 * (3 * 2 * 2 + 3 * 4 + 3 * 4)  # three copies of K and V; weights in float32; a score in three cells
    decoding = columns + 3 * (2 * 2 * 2 + row) + attending + 5  # three cells' own two tokens, and states of 5 bytes
    long, short = (Passes(prefill=prefill, block=5, logit_bytes=100) for prefill in (700, 7))
    prefill = 700 * (8 * 2 + 3 * 4 * 5)  # through attention, with weights of five queries in float32
    for passes, free in [(long, prefill + 9 * columns), (short, 3 * 100 + 9 * decoding)]:
        demand = demand_of(one, [Example(10, 2)], 3, passes, lambda _: 5)
        assert fitting_tokens(1.0001 * free / SHARE, demand) == 9 * 16  # nine rows, of a prompt and three cells' tokens
        assert fitting_tokens(0.9999 * free / SHARE, demand) == 9 * 16 - 1


def test_llama_2_7b_fills_most_of_an_h200_with_its_cache():
    free = 141e9 - 2 * 6.74e9
    cached = 2 * 32 * 32 * 128 * 2 * fitting_tokens(free, SQUAD)
    assert 0.8 * free < cached < SHARE * free


def test_a_method_without_a_kernel_copies_what_it_attends_to():
    with_kernels = demand_of(LLAMA_2, [Example(1500, 30)], 1, PASSES, gathers=False)
    assert SQUAD.decoding - with_kernels.decoding == pytest.approx(3 * 2 * 32 * 128 * 2)
    engine, examples = EngineSpec(prefill_tokens=1), [Example(1500, 30)]
    cells = [Cell.of(name, methods.create(name, k=40)) for name in ("h2o", "tova")]
    served, *copied = (
        planned_batch_tokens(replace(engine, kernel=kernel), model, examples, 1e11, [cell])
        for kernel, model, cell in (
            ("auto", LLAMA_2, cells[0]),
            ("auto", LLAMA_2, cells[1]),
            ("torch", LLAMA_2, cells[0]),
            ("auto", replace(LLAMA_2, capped=True), cells[0]),
        )
    )
    assert served > copied[0] and len(set(copied)) == 1


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_more_free_memory_never_holds_less_and_however_little_there_is_one_token_is_tried(free, more):
    least = fitting_tokens(free, SQUAD)
    assert 1 <= least <= fitting_tokens(free + more, SQUAD)


def test_every_gpu_that_holds_weights_says_what_is_free_and_the_cpu_does_not_count(monkeypatch):
    free = {0: 7, 1: 5, 2: 1}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[device.index], 100))
    weights = [SimpleNamespace(device=torch.device(name)) for name in ("cpu", "cuda:1", "cuda:0", "cuda:1")]
    found = _free_bytes(SimpleNamespace(parameters=lambda: weights))
    assert found == {torch.device("cuda:0"): 7, torch.device("cuda:1"): 5}
    assert _free_bytes(SimpleNamespace(parameters=lambda: weights[:1])) == {}


def test_a_gpu_with_half_the_layers_holds_the_caches_of_those():
    one = Transformer([LayerShape(1, 64)] * 4, hidden=1, inner=1, vocabulary=1, heads=1)
    engine, examples, free = EngineSpec(prefill_tokens=1), [Example(900, 50)], 1e11
    cells = [Cell.of("flexgen", methods.create("flexgen", k=4, reallocate=True))]
    whole, half = (planned_batch_tokens(engine, one, examples, free, cells, part=one.layers[:n]) for n in (4, 2))
    assert whole == planned_batch_tokens(engine, one, examples, free, cells)
    assert 1.3 * whole < half < 2 * whole  # what one layer makes while it attends is on either


def test_states_of_all_cells_are_counted_at_every_token_of_the_batch():
    layers = (LayerShape(2, 16), LayerShape(1, 8, window=40), LayerShape(2, 16))
    model = Transformer(layers, hidden=1, inner=1, vocabulary=1, heads=4, element=2)
    spreading = methods.create("flexgen", k=4, reallocate=True)  # a running sum of V: D elements a KV head
    cells = [Cell.of("flexgen", spreading)] * 3 + [Cell.of("dense", methods.create("dense"))]
    assert _state_bytes(model, Example(60, 10), cells) == 3 * (2 * 16 + 8 + 2 * 16) * 2
    first = [Cell.of("flexgen", methods.create("flexgen", k=4, reallocate=True, dense_layers=1))]
    assert _state_bytes(model, Example(60, 10), first) == (8 + 2 * 16) * 2
    assert _state_bytes(model, Example(60, 10), cells[3:]) == 0
    engine, examples = EngineSpec(), [Example(900, 50)]
    cells = [*cells[:3], *cells[3:] * 3]
    fitting = [planned_batch_tokens(engine, LLAMA_2, examples, 1e11, cells[i : i + 3]) for i in (3, 2, 0)]
    assert fitting[0] > fitting[1] > fitting[2]
    assert planned_batch_tokens(EngineSpec(batch_tokens=7), LLAMA_2, examples, 1e11, cells) == 7


def test_a_batch_that_is_compared_with_dense_beside_a_prefill_of_its_own_has_two_caches():
    engine, examples = EngineSpec(), [Example(900, 50)]
    sharing, masking = (
        Cell.of("lm_infinite", methods.create("lm_infinite", k=40, mask_prefill=m)) for m in (False, True)
    )
    of = {(own, on): planned_batch_tokens(engine, LLAMA_2, examples, 1e11, [sharing, own], on)
          for own in (sharing, masking) for on in (False, True)}  # fmt: skip
    assert of[sharing, True] == of[sharing, False]
    assert of[masking, True] == pytest.approx(of[masking, False] / 2, rel=0.06)


def test_the_most_of_many_examples_is_found_between_the_shortest_and_the_longest():
    asked = []
    most = most_per_token([Example(n, 1) for n in range(1000, 0, -1)], 2, lambda one: asked.append(one.prompt) or 102)
    assert (most, min(asked), max(asked), len(asked)) == (102 / 3, 1, 1000, 17)


def test_demand_is_that_of_the_example_that_asks_most():
    sizes = [Example(90, 10), Example(20, 5), Example(4, 8)]
    each = [demand_of(TINY, [one], 2, Passes(50, 1, 1)) for one in sizes]
    for prefill in (50, 100):
        most = demand_of(TINY, sizes, 2, Passes(prefill, 1, 1))
        assert most.filled == max(of.filled for of in each) and most.decoding == max(of.decoding for of in each)
        assert most.prefill == max(prefill, 90) / 90 * each[0].prefill
