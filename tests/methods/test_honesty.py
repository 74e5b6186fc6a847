"""A method reads no more of K and V than it says it moves, by gradients and by an instrumented cache. float64.

A measured method is held to what its meter noted in the same step, over all KV heads of a row.
"""

import dataclasses

import pytest
import torch
from support import VARIANTS, each_method, layers_of, random_case, steps
from support.tracing import trace

from harness import methods
from harness.attention import Meter
from harness.methods.controls.oracle_topk import OracleTopK
from harness.methods.cost import ELEMENT, LayerAt, dense_transfers
from harness.methods.selection.hip import HiP

PAYING = [v for v in VARIANTS if not (methods.find(v[0]).oracle or methods.find(v[0]).simulated)]
"""All but those that choose for free, or as an index is said to, and say so."""


def check_paid(method, step, state, used, prompt, layer=0):
    """Fail unless the entries used [B, H] in a step are among those that the method says it moves."""
    assert used.max() > 0
    if not method.measured:
        at = LayerAt(step.length, 8, prompt, step.k.shape[1], step.q.shape[2], layer, layers_of(layer))
        assert used.max() <= method.cost(at).moved / ELEMENT
        return
    (noted,) = method.meter(state).steps[-1:]
    assert (used.sum(1) <= noted / ELEMENT).all()


def entries_with_a_gradient(method, step, state):
    """How many entries of K and V each KV head's output depends on, [B, H]."""
    k, v = (x.clone().requires_grad_(True) for x in (step.k, step.v))
    output = method.attend(dataclasses.replace(step, k=k, v=v), state)
    grads = torch.autograd.grad(output.square().sum(), (k, v), allow_unused=True, retain_graph=True)
    return sum((grad != 0).sum((2, 3)) for grad in grads if grad is not None)


def entries_read(method, step, state):
    """How many entries of K and V each KV head reads in a step, [B, H]."""
    k, k_read = trace(step.k)
    v, v_read = trace(step.v)
    method.attend(dataclasses.replace(step, k=k, v=v), state)
    return k_read.sum((2, 3)) + v_read.sum((2, 3))


@each_method()
def test_entries_with_a_gradient_are_paid_for(name, knobs, layer):
    method, case = methods.create(name, **knobs), random_case(p=40)
    for step, state in steps(case, method, layer=layer):
        check_paid(method, step, state, entries_with_a_gradient(method, step, state), case.p, layer)


@each_method(PAYING)
def test_entries_read_to_choose_or_to_attend_are_paid_for(name, knobs, layer):
    method, case = methods.create(name, **knobs), random_case(pads=(0, 0), p=40)
    for step, state in steps(case, method, layer=layer):
        check_paid(method, step, state, entries_read(method, step, state), case.p, layer)


def test_the_tracer_counts_all_that_dense_attention_reads():
    method, case = methods.create("dense"), random_case(pads=(0, 0))
    for step, state in steps(case, method):
        assert (entries_read(method, step, state) == 2 * step.length * 8).all()
        assert 2 * step.length * 8 == dense_transfers(step.length, 8) - 16


def test_the_tracer_sees_keys_that_are_read_only_to_choose():
    method, case = OracleTopK(k=3), random_case(pads=(0, 0), p=40)
    for step, state in steps(case, method):
        assert (entries_read(method, step, state) == step.length * 8 + 3 * 8).all()
        assert step.length * 8 + 3 * 8 > method.transfers(step.length, 8)


class Boasting(HiP):
    """A made-up method that notes nothing."""

    def meter(self, state):
        meter = Meter()
        meter.note(torch.zeros(2))
        return meter


def test_a_meter_that_leaves_out_what_is_read_is_caught():
    case, method = random_case(pads=(0, 0), p=40), Boasting(k=4, sinks=1, window=2)
    step, state = next(steps(case, method))
    used = entries_read(method, step, state)
    check_paid(HiP(k=4, sinks=1, window=2), step, state, used, case.p)
    with pytest.raises(AssertionError):
        check_paid(method, step, state, used, case.p)
